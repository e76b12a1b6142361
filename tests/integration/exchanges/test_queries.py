import pytest

from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput
from pipelabs.core.pagination import encode_cursor
from pipelabs.exchanges import registry
from pipelabs.exchanges.queries import get_counts, list_exchanges
from pipelabs.models import Client, ClientMarket, ExchangeAPIKey, KeyStage, Market, TokenPair
from pipelabs.models.clients import Chain
from pipelabs.models.exchanges import Kind
from tests.each import each
from tests.factories import make_exchange, make_wallet

KNOWN = len(registry.known())


@pytest.fixture
def seeded(app):
    """The exchanges of the registry in an open context; OKX is disabled."""
    with app.app_context():
        make_exchange(is_enabled=False)
        yield


def slugs(page):
    return [row.slug for row in page.rows]


def add(*rows):
    db.session.add_all(rows)
    db.session.flush()


def make_client():
    client = Client(name="Acme", wallet_address=make_wallet(), chain=Chain.EVM)
    add(client)
    return client


def make_market(exchange, base="BTC"):
    pair = TokenPair(base_asset=base, quote_asset="USDT")
    add(pair)
    market = Market(token_pair_id=pair.id, exchange=exchange, exchange_symbol=f"{base}USDT")
    add(market)
    return market


def make_key(client, exchange, **changes):
    key = ExchangeAPIKey(
        **{
            "client_id": client.id,
            "exchange": exchange,
            "label": "main",
            "last_four": "abcd",
            "fingerprint": b"x",
            "fields": [],
            "stage": KeyStage.DESTROYED,
        }
        | changes
    )
    add(key)


@each(
    ("q", "found"),
    [
        ("okx", ["okx", "myokx", "okxus"]),
        ("OKEX", ["okx"]),
        ("gateio", ["gate"]),
        ("huobi", ["bittrade", "htx"]),
        ("binance.us", ["binanceus"]),
        ("%", []),
        ("_", []),
        ("\\", []),
        ("mt gox", []),
    ],
)
def test_list_exchanges_searches_name_slug_and_alias(seeded, q, found):
    assert slugs(list_exchanges({"q": q})) == found


@each(
    ("filters", "expected"),
    [
        ({}, bool),
        ({"kind": None, "is_enabled": None}, bool),
        ({"kind": Kind.DERIVATIVES}, lambda one: one.kind is Kind.DERIVATIVES),
        ({"is_enabled": False}, lambda one: one.slug == "okx" or one.is_closing),
        ({"is_enabled": True}, lambda one: one.slug != "okx" and not one.is_closing),
        (
            {"is_enabled": False, "kind": Kind.SPOT},
            lambda one: one.is_closing and one.kind is Kind.SPOT,
        ),
    ],
)
def test_list_exchanges_combines_filters(seeded, filters, expected):
    page = list_exchanges(filters, 100)

    assert page.total == sum(map(expected, registry.known().values()))


def test_list_exchanges_is_sorted_and_paged(seeded):
    first = list_exchanges({}, 100)
    second = list_exchanges({}, 100, first.next)
    back = list_exchanges({}, 100, second.previous)

    assert len(slugs(first) + slugs(second)) == KNOWN
    assert slugs(first)[:3] == ["alpaca", "apex", "ascendex"]
    assert slugs(back) == slugs(first)


@pytest.mark.parametrize("bookmark", [">s:a", ">i:1~i:2", ">dt:2026-01-01~s:okx"])
def test_list_exchanges_rejects_a_cursor_of_another_list(seeded, bookmark):
    with pytest.raises(InvalidInput) as refused:
        list_exchanges({}, 25, encode_cursor(bookmark))

    assert list(refused.value.fields) == ["cursor"]


def test_get_counts_is_zero_for_an_unused_exchange(seeded):
    assert get_counts("okx")[:3] == (0, 0, 0)


def test_get_counts_counts_only_this_exchange(seeded):
    one, two = make_client(), make_client()
    btc, eth, elsewhere = make_market("okx"), make_market("okx", "ETH"), make_market("gate", "SOL")
    add(*(ClientMarket(client_id=one.id, market_id=market.id) for market in (btc, eth, elsewhere)))
    add(ClientMarket(client_id=two.id, market_id=btc.id))
    make_key(one, "okx")
    make_key(two, "gate")

    assert get_counts("okx")[:3] == (2, 2, 0)
    assert get_counts("gate")[:3] == (1, 1, 0)
