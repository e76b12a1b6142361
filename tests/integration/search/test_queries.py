"""What a search finds of each kind, in how many statements, and that its text is only text."""

import os

import pytest

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.wallets import Wallet, shorten
from pipelabs.core.db import db
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import KeyStage, Market, MarketStatus, Role
from pipelabs.models.clients import Chain
from pipelabs.search.queries import MAX_OF_KIND, find, find_by_ids
from pipelabs.search.ranking import Rank
from pipelabs.search.terms import Terms
from pipelabs.search.things import SearchKind
from tests.each import each
from tests.factories import (
    ACTOR,
    WALLET,
    add_client,
    make_actor,
    make_admin,
    make_client,
    make_credentials,
    make_exchange,
    make_item,
    make_key,
)
from tests.integration.machines.rows import make_machine

ALL = frozenset(SearchKind)
HOSTILE = (
    "%",
    "_",
    "\\",
    "%%%%",
    "___",
    "'; DROP TABLE clients; --",
    "a%b_c\\",
    "\\%abc",
    "/",
    "0x__",
)


@pytest.fixture(autouse=True)
def context(app, ring, rolled_back):
    with app.app_context():
        make_exchange()
        yield


def labels(text, kind=None, kinds=ALL):
    return [hit.thing.label for hit in find(Terms(text), kinds) if kind in {None, hit.thing.kind}]


@pytest.fixture
def alder():
    return add_client(
        name="Alder Peak", wallet_address=Wallet(Chain.EVM, WALLET), email="ops@alder.example"
    )


@pytest.fixture
def pepe():
    """PEPE/USDT on OKX and KuCoin, BTC/USDT on OKX."""
    items = [make_item("PEPE/USDT"), make_item("PEPE/USDT", "kucoin"), make_item()]
    return add_client_markets(make_client(name="Quoted").id, items, ACTOR)


@each(
    "text",
    [
        "alder",
        "ALDER PEAK",
        "peak alder",
        "al",
        "a",
        "ops@alder.example",
        "ops@ald",
        WALLET,
        WALLET.lower(),
        "0x5290…9EE7",
        "0x5290...9ee7",
        "0x52908400…169EE7",
        "alder okx",
    ],
)
def test_clients_are_found_by_name_e_mail_and_wallet(alder, text):
    make_client(name="Other")

    assert labels(text, SearchKind.CLIENT) == ["Alder Peak"]


def test_wallets_of_every_chain_are_found_by_their_short_form():
    addresses = {
        Chain.SOLANA: "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        Chain.TRON: "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
    }
    for chain, address in addresses.items():
        add_client(name=chain.value, wallet_address=Wallet(chain, address), email=None)

    for chain, address in addresses.items():
        assert labels(shorten(address)) == [chain.value]
    assert labels("TR7NHq…zzzz") == []


def test_clients_whose_name_begins_with_the_text_come_first_however_many_there_are():
    for number in range(MAX_OF_KIND + 2):
        make_client(name=f"The other Alder {number}")
    make_client(name="Alder")
    make_client(name="Alder Peak")

    found = labels("alder", SearchKind.CLIENT)

    assert found[:2] == ["Alder", "Alder Peak"]
    assert len(found) == MAX_OF_KIND


def test_short_texts_find_the_beginning_of_a_name_only(alder):
    assert labels("pe", SearchKind.CLIENT) == []
    assert labels("al", SearchKind.CLIENT) == ["Alder Peak"]


@each(
    ("text", "found"),
    [
        ("pepe", ["PEPE/USDT on KuCoin", "PEPE/USDT on OKX"]),
        ("pe", ["PEPE/USDT on KuCoin", "PEPE/USDT on OKX"]),
        ("pepe okx", ["PEPE/USDT on OKX"]),
        ("okx pepe", ["PEPE/USDT on OKX"]),
        ("PEPE/USDT on OKX", ["PEPE/USDT on OKX"]),
        ("pepeusdt kucoin", ["PEPE/USDT on KuCoin"]),
        ("pepe-usdt okx", ["PEPE/USDT on OKX"]),
        ("usdt okx", ["BTC/USDT on OKX", "PEPE/USDT on OKX"]),
        ("pepe upbit", []),
    ],
)
def test_markets_are_found_by_pair_and_exchange(pepe, text, found):
    assert labels(text, SearchKind.MARKET) == found


@each(
    ("text", "found"),
    [
        ("pepe", ["PEPE/USDT"]),
        ("epe", ["PEPE/USDT"]),
        ("PEPEUSDT", ["PEPE/USDT"]),
        ("p", ["PEPE/USDT"]),
        ("usdt", ["BTC/USDT", "PEPE/USDT"]),
        ("sd", []),
    ],
)
def test_token_pairs_are_found_in_any_spelling(pepe, text, found):
    assert labels(text, SearchKind.TOKEN_PAIR) == found


def test_base_asset_that_was_typed_comes_before_those_that_have_it():
    symbols = ["ABTC/USDT", "BTC/USDT", "BTCB/USDT", "ETH/BTC"]
    add_client_markets(make_client().id, [make_item(symbol) for symbol in symbols], ACTOR)

    assert labels("btc", SearchKind.TOKEN_PAIR)[:2] == ["BTC/USDT", "BTCB/USDT"]


def test_swaps_are_found_by_their_spot_symbol_and_say_what_settles_them():
    item = make_item("BTC/USDT:USDT", exchange_symbol="BTC-USDT-SWAP")
    add_client_markets(make_client().id, [item], ACTOR)

    [hit] = find(Terms("btcusdt"), {SearchKind.TOKEN_PAIR})

    assert hit.thing.label == "BTC/USDT:USDT"
    assert hit.thing.detail == "BTC against USDT, settled in USDT"
    for text in ("BTC-USDT-SWAP", "btc-usdt-sw", "btc-usdt-swap okx"):
        assert labels(text, SearchKind.MARKET) == ["BTC/USDT:USDT on OKX"]
    assert labels("btc-usdt-swap kucoin", SearchKind.MARKET) == []


def test_delisted_markets_say_so_and_come_last(pepe):
    update_market(pepe[0].market_id, MarketChanges(status=MarketStatus.DELISTED), ACTOR)
    update_market(pepe[1].market_id, MarketChanges(status=MarketStatus.HALTED), ACTOR)

    found = [hit.thing for hit in find(Terms("pepe"), {SearchKind.MARKET})]

    assert [thing.label for thing in found] == ["PEPE/USDT on KuCoin", "PEPE/USDT on OKX"]
    assert [thing.detail.partition(" · ")[2] for thing in found] == ["halted", "delisted"]


@pytest.fixture
def keys(alder):
    credentials = make_credentials(api_key="kucoin-key-0815")
    make_key(make_client(name="Other"), "kucoin", credentials=credentials)
    return [make_key(alder, label="House account")]


@each("text", ["4711", "••••4711", "4711 okx", "Alder", "alder okx", "house acc", "house account"])
def test_keys_are_found_by_last_four_label_and_client(keys, text):
    [hit] = [hit for hit in find(Terms(text), ALL) if hit.thing.kind is SearchKind.API_KEY]

    assert hit.thing.label == "••••4711"
    assert hit.thing.detail == "Alder Peak · OKX · House account"


def test_keys_without_last_characters_are_named_by_their_label(alder):
    make_key(alder, credentials=make_credentials(api_key="short"))

    assert labels("alder", SearchKind.API_KEY) == ["Key “main”"]


def test_keys_elsewhere_are_not_found(alder):
    make_key(alder)

    assert labels("alder kucoin", SearchKind.API_KEY) == []
    assert labels("ma", SearchKind.API_KEY) == []


def test_destroyed_keys_are_found_by_their_last_four_only(alder):
    key = make_key(alder)
    key.stage, key.credentials, key.kek_version = KeyStage.DESTROYED, None, None

    [hit] = find(Terms("4711"), {SearchKind.API_KEY})

    assert hit.thing.detail.endswith("secrets destroyed")
    assert labels("alder", SearchKind.API_KEY) == labels("main", SearchKind.API_KEY) == []


@each("text", ["okx", "OKX", "ok"])
def test_exchanges_are_found_by_name_and_slug(text):
    assert "OKX" in labels(text, SearchKind.EXCHANGE)


def test_machines_and_admins_are_found_by_name():
    vera = make_admin(email="vera@desk.local", role=Role.OPERATOR)
    make_machine(vera, name="quoter-1")
    make_admin(email="max@desk.local", role=Role.VIEWER, is_disabled=True)

    assert labels("quoter") == ["quoter-1"]
    assert labels("qu", SearchKind.MACHINE) == ["quoter-1"]
    assert labels("vera@desk.local") == ["vera@desk.local"]
    assert [hit.thing.detail for hit in find(Terms("max@desk"), ALL)] == ["viewer, disabled"]


def test_request_ids_lead_to_their_events():
    for request_id, count in (("0a1b2c3d", 1), ("Caller-77", 2)):
        for _ in range(count):
            trail.record(Event.ADMIN_SIGNED_OUT, make_actor(request_id=request_id))

    [one] = find(Terms("0A1B2C3D"), ALL)
    [two] = find(Terms("Caller-77"), ALL)

    assert one.thing.kind is two.thing.kind is SearchKind.REQUEST
    assert one.thing.detail.startswith("1 event · ")
    assert two.thing.detail.startswith("2 events · ")
    assert labels("0a1b2c3e") == []


def test_ids_lead_to_their_row(alder, pepe):
    key, admin = make_key(alder), make_admin()
    machine = make_machine(admin)
    market = db.session.get_one(Market, pepe[0].market_id)
    ids = {
        SearchKind.CLIENT: alder.id,
        SearchKind.TOKEN_PAIR: market.token_pair_id,
        SearchKind.MARKET: market.id,
        SearchKind.API_KEY: key.id,
        SearchKind.MACHINE: machine.id,
        SearchKind.ADMIN: admin.id,
    }

    for kind, row_id in ids.items():
        hits = [hit for hit in find(Terms(str(row_id)), ALL) if hit.rank is Rank.IDENTIFIED]
        assert [(hit.thing.kind, hit.thing.id) for hit in hits] == [(kind, str(row_id))]


def test_only_the_given_kinds_are_searched(alder, pepe, statements):
    make_key(alder)
    statements.clear()

    assert labels("alder", kinds={SearchKind.MARKET}) == []
    assert labels("pepe", kinds={SearchKind.CLIENT}) == []
    assert labels("4711", kinds=frozenset()) == []
    assert labels("", kinds=ALL) == []
    assert all("exchange_api_keys" not in text for text in statements)


@each("text", HOSTILE)
def test_wildcards_and_quotes_are_text(keys, pepe, text):
    assert labels(text) == []


def test_wildcards_of_names_are_found_as_they_are():
    for name in ("100% Pure", "100x Pure", "under_score", "underXscore", "back\\slash"):
        make_client(name=name)

    assert labels("100%") == ["100% Pure"]
    assert labels("under_") == ["under_score"]
    assert labels("back\\") == ["back\\slash"]


def test_number_of_statements_does_not_grow_with_the_book(alder, pepe, statements):
    def count():
        statements.clear()
        find(Terms("alder pepe okx"), ALL)
        return len(statements)

    make_key(alder)
    few = count()
    symbols = ["PEPE/USDC", "PEPE/BTC", "PEPE/EUR"]
    for number in range(6):
        client = make_client(name=f"Alder {number}")
        make_key(client, credentials=make_credentials(api_key=f"key-of-{number}-4712"))
        add_client_markets(client.id, [make_item(symbol) for symbol in symbols], ACTOR)

    assert count() == few <= 8


def test_things_are_read_by_their_ids_in_order(alder, pepe, statements):
    market = db.session.get_one(Market, pepe[0].market_id)
    other = make_client(name="Other")
    wanted = [
        (SearchKind.MARKET, str(market.id)),
        (SearchKind.EXCHANGE, "okx"),
        (SearchKind.CLIENT, str(other.id)),
        (SearchKind.CLIENT, str(alder.id)),
        (SearchKind.CLIENT, str(alder.id)),
        (SearchKind.CLIENT, "no id"),
        (SearchKind.EXCHANGE, "nowhere"),
        (SearchKind.ADMIN, str(alder.id)),
    ]
    statements.clear()

    found = find_by_ids(wanted)

    assert [thing.label for thing in found] == ["PEPE/USDT on OKX", "OKX", "Other", "Alder Peak"]
    assert len(statements) == 3


def test_wallet_of_a_fuzzy_end_is_not_found():
    for _ in range(3):
        add_client(wallet_address=Wallet(Chain.EVM, f"0x{os.urandom(20).hex()}"), email=None)

    assert labels("0x%%%%…%%%%") == labels("0x____…____") == []
