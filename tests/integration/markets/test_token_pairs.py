import pytest
from sqlalchemy import select

from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, NotFound
from pipelabs.core.pagination import encode_cursor
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.symbols import parse
from pipelabs.markets.token_pairs import (
    create_token_pair,
    ensure_token_pairs,
    get_token_pair,
    list_pair_markets,
    list_token_pairs,
)
from pipelabs.models import AuditEvent, TokenPair
from pipelabs.models.token_pairs import TokenPairSort
from tests.each import each
from tests.factories import ACTOR, make_client, make_exchange, make_item

SYMBOLS = ["BTC/USDT", "BTC/USDT:USDT", "ETH/BTC", "WBTC/EUR"]


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        yield


def listed(**asked):
    filters = {"q": asked.pop("q", "")}
    return [pair.symbol for pair in list_token_pairs(filters, **asked).rows]


def test_create_token_pair_records_it():
    pair = create_token_pair(parse("btc-usdt"), ACTOR)

    noted = db.session.scalars(select(AuditEvent)).one()
    assert noted.event == "token_pair.created"
    assert noted.details == {
        "symbol": "BTC/USDT",
        "token_pair": str(pair.id),
        "subject": f"token_pair:{pair.id}",
    }
    assert get_token_pair(pair.id).symbol == "BTC/USDT"


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT"])
def test_create_token_pair_names_the_existing_pair(symbol):
    pair = create_token_pair(parse(symbol), ACTOR)

    with pytest.raises(Duplicate) as taken:
        create_token_pair(parse(symbol), ACTOR)

    assert taken.value.existing == {"symbol": str(pair.id)}


def test_ensure_token_pairs_keeps_swap_and_spot_apart():
    assert len(ensure_token_pairs({parse(one) for one in SYMBOLS})) == 4
    assert ensure_token_pairs({parse("BTC/USDT"), parse("BTC/USDT:USDT")}) == []
    assert db.session.query(TokenPair).count() == 4


@each(
    ("q", "found"),
    [
        ("", SYMBOLS),
        ("btc", SYMBOLS),
        ("btc-usdt", SYMBOLS[:2]),
        ("eth_btc", ["ETH/BTC"]),
        (":usdt", ["BTC/USDT:USDT"]),
        ("%", []),
        ("_", []),
        ("/e", ["WBTC/EUR"]),
    ],
)
def test_list_token_pairs_searches_any_spelling(q, found):
    ensure_token_pairs([parse(one) for one in SYMBOLS])

    assert listed(q=q) == found


def test_list_token_pairs_is_sorted_and_paged():
    for symbol in reversed(SYMBOLS):
        ensure_token_pairs([parse(symbol)])

    first = list_token_pairs({}, size=3)
    second = list_token_pairs({}, size=3, cursor=first.next)

    assert [pair.symbol for pair in (*first.rows, *second.rows)] == SYMBOLS
    assert listed(sort=TokenPairSort.SYMBOL_DOWN) == SYMBOLS[::-1]
    with pytest.raises(InvalidInput):
        list_token_pairs({}, cursor=encode_cursor(">x"))


def test_list_pair_markets_is_sorted_by_exchange():
    make_exchange()
    client = make_client()
    items = [make_item(exchange=slug) for slug in ("okx", "binance")]
    rows = add_client_markets(client.id, items, ACTOR)

    found = list_pair_markets(rows[0].token_pair_id)

    assert [market.exchange for market in found] == ["binance", "okx"]


def test_get_token_pair_raises_not_found():
    with pytest.raises(NotFound):
        get_token_pair(make_client().id)
