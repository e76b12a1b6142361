from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from pipelabs.audit.changes import read_changes
from pipelabs.clients.queries import (
    filter_conditions,
    list_clients,
    list_events,
)
from pipelabs.clients.schemas import ClientChanges
from pipelabs.clients.service import change_status, create_client, update_client
from pipelabs.clients.wallets import Wallet
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput
from pipelabs.core.pagination import encode_cursor
from pipelabs.models import Client, Status, Tier
from pipelabs.models.clients import Chain, ClientSort
from tests.each import each
from tests.factories import add_client, make_actor, make_new_client, make_wallet

BECH32 = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
SOLANA = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"
WALLETS = [
    Wallet(Chain.EVM, "0x52908400098527886E0F7030069857D2E4169EE7"),
    Wallet(Chain.BITCOIN, BECH32),
    Wallet(Chain.SOLANA, SOLANA),
    Wallet(Chain.TRON, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
]
NAMES = ["Ångström Capital", "beta 100% Fund", "Gamma_Labs", "delta\\100"]


@pytest.fixture
def four(app):
    """Four clients of four chains and tiers in an open context; the last is paused."""
    with app.app_context():
        made = [
            add_client(
                name=name,
                wallet_address=wallet,
                tier=tier,
                email=f"ops@{name[0].lower()}.example" if name.isascii() else None,
            )
            for name, wallet, tier in zip(NAMES, WALLETS, Tier, strict=True)
        ]
        change_status(made[3].id, Status.PAUSED, make_actor())
        yield made


def year(number):
    return datetime(number, 1, 1, tzinfo=UTC)


def places(page):
    return [NAMES.index(client.name) for client in page.rows]


@each(
    ("q", "found"),
    [
        ("", {0, 1, 2, 3}),
        ("CAPITAL", {0}),
        ("ångström", {0}),
        ("ÅNG", {0}),
        ("ps@", set()),
        ("OPS@b", {1}),
        ("100", {1, 3}),
        ("0%", set()),
        ("%", set()),
        ("_", set()),
        ("\\", set()),
        ("a_Lab", {2}),
        ("a\\100", {3}),
        ("0% f", set()),
        ("0% fun", {1}),
        ("å", {0}),
        ("ÅN", {0}),
        ("B", {1}),
        ("GA", {2}),
        ("pi", set()),
        ("'", set()),
        ("e7 ops", set()),
        ("52908400098527886e0f7030069857d2e4169ee7", {0}),
        ("0X52908400098527886E0F7030069857D2E4169EE7", {0}),
        (BECH32.upper(), {1}),
        (SOLANA, {2}),
        (SOLANA[5:20].lower(), {2}),
    ],
)
def test_list_clients_searches_name_wallet_and_email(four, q, found):
    assert set(places(list_clients({"q": q}))) == found


@each(
    ("name", "q"),
    [
        ("%hedge", "%"),
        ("%fund", "%f"),
        ("_desk", "_"),
        ("_fund", "_F"),
        ("\\desk", "\\"),
        ("\u5e01\u5b89 Labs", "\u5e01\u5b89"),
        ("\u0416 Capital", "\u0436"),
        ("\u0152uvre", "\u0153"),
        ("12 Monkeys", "12"),
        ("O'Brien", "o'b"),
        ("a b c", "A B"),
    ],
)
def test_list_clients_finds_short_words_at_the_beginning_of_the_name(four, name, q):
    new = make_new_client(name=name, wallet_address=Wallet(Chain.EVM, make_wallet()), email=None)
    create_client(new, make_actor())

    found = [client.name for client in list_clients({"q": q}).rows]

    assert name in found
    assert all(other.lower().startswith(q.lower()) for other in found)


@each(
    ("q", "index"),
    [
        ("desk", "ix_clients_searched"),
        ("5e2", "ix_clients_searched"),
        ("\u043c\u043e\u0441\u043a\u0432\u0430", "ix_clients_searched"),
        ("a%bcd", "ix_clients_searched"),
        *(
            (q, "ix_clients_lower_name_id")
            for q in ("d", "DE", "\u0434", "%", "_", "a%b", "\u5e01")
        ),
    ],
)
def test_list_clients_searches_by_an_index(four, q, index):
    [condition] = filter_conditions({"q": q})
    options = {"literal_binds": True}
    query = select(Client.id).where(condition).compile(db.engine, compile_kwargs=options)
    cursor = db.session.connection().connection.cursor()
    cursor.execute("SET LOCAL enable_seqscan = off")
    cursor.execute(f"EXPLAIN {query}".replace("%%", "%"))

    assert index in str(cursor.fetchall())


@each("word", ["\u043c\u043e\u0441\u043a\u0432\u0430", "\u00f6stlich", "\u5e01\u5b89\u4eba"])
def test_search_index_knows_letters_of_every_script(app, word):
    """Else a search for the word would read the whole index."""
    with app.app_context():
        pieces = db.session.scalar(func.show_trgm(word))

    assert len(pieces) > len(word)


@each(
    ("filters", "found"),
    [
        ({}, {0, 1, 2, 3}),
        ({"tier": None, "status": None, "chain": None}, {0, 1, 2, 3}),
        ({"tier": Tier.STANDARD}, {1}),
        ({"status": Status.PAUSED}, {3}),
        ({"chain": Chain.SOLANA}, {2}),
        ({"q": "100", "status": Status.ACTIVE}, {1}),
        ({"tier": Tier.BASIC, "chain": Chain.TRON}, set()),
    ],
)
def test_list_clients_combines_filters(four, filters, found):
    page = list_clients(filters)

    assert set(places(page)) == found
    assert page.total == len(found)


@each(
    ("sort", "order"),
    [
        (ClientSort.CREATED_AT, [0, 1, 2, 3]),
        (ClientSort.CREATED_AT_DOWN, [3, 2, 1, 0]),
        (ClientSort.NAME, [1, 3, 2, 0]),
        (ClientSort.NAME_DOWN, [0, 2, 3, 1]),
        (ClientSort.UPDATED_AT, [0, 3, 2, 1]),
        (ClientSort.UPDATED_AT_DOWN, [1, 2, 3, 0]),
    ],
)
def test_list_clients_sorts_and_pages_by_each_key(four, sort, order):
    for place, client in enumerate(four):
        times = {"created_at": year(2020 + place), "updated_at": year(2025 - (place + 3) % 4)}
        db.session.execute(update(Client).where(Client.id == client.id).values(times))

    first = list_clients({}, sort, 3)
    second = list_clients({}, sort, 3, first.next)
    back = list_clients({}, sort, 3, second.previous)

    assert places(first) + places(second) == order
    assert places(back) == order[:3]


@pytest.mark.parametrize(
    "bookmark",
    [
        ">dt:2026-01-01~i:2",
        ">true~true",
        ">b:aGk=~b:aGk=",
        ">s:a~s:b",
        ">i:1~uuid:00000000-0000-0000-0000-000000000000",
        ">dt:2026-01-01",
        ">d:2026-01-01~f:nan",
        ">s:a~uuid:00000000-0000-0000-0000-000000000000~x",
    ],
)
@pytest.mark.parametrize("sort", [ClientSort.NAME, ClientSort.CREATED_AT_DOWN])
def test_list_clients_rejects_a_cursor_of_another_list(four, bookmark, sort):
    with pytest.raises(InvalidInput) as refused:
        list_clients({}, sort, 25, encode_cursor(bookmark))

    assert list(refused.value.fields) == ["cursor"]


def test_list_events_is_newest_first(four):
    paused = four[3].id
    update_client(paused, ClientChanges(name="Other"), make_actor())

    events = list_events(paused, 2)

    assert [event.event for event in events] == ["client.updated", "client.status_changed"]
    assert len(list_events(paused, 9)) == 3
    assert list_events(UUID(int=7), 9) == []


def test_read_changes_returns_old_and_new_value_of_each_field(four):
    first = four[3].id
    update_client(first, ClientChanges(email=None, tier=Tier.BASIC), make_actor())

    updated, moved, created = list_events(first, 3)

    assert read_changes(updated.details) == [
        ("email", "ops@d.example", ""),
        ("tier", "Enterprise", "Basic"),
    ]
    assert read_changes(moved.details) == [("status", "active", "paused")]
    assert read_changes(created.details) == []
