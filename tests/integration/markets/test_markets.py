from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import select

from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound, Stale
from pipelabs.markets.client_markets import update_client_market
from pipelabs.markets.markets import (
    affected_by,
    create_market,
    get_market,
    list_markets,
    update_market,
)
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import AuditEvent, ClientMarket, MarketStatus, QuotingStatus
from tests.factories import ACTOR, make_client, make_exchange, make_item

RULES = {
    "price_tick": Decimal("0.1"),
    "amount_step": Decimal("0.0001"),
    "min_notional": Decimal(5),
}
DELISTED = {"status": MarketStatus.DELISTED}


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


def make(symbol="BTC/USDT", exchange="okx", **changes):
    item = make_item(symbol, exchange)
    data = {name: item[name] for name in ("symbol", "exchange", "exchange_symbol")}
    return create_market(data | RULES | changes, ACTOR)


def events(name):
    wanted = select(AuditEvent).filter_by(event=name).order_by(AuditEvent.id)
    return db.session.scalars(wanted).all()


def quoted(client):
    return db.session.scalars(select(ClientMarket).filter_by(client_id=client.id)).one()


def test_a_market_is_spelled_in_the_exchanges_style_and_recorded():
    market = make()

    assert (market.symbol, market.exchange_symbol) == ("BTC/USDT", "BTC-USDT")
    assert (market.price_tick, market.amount_step) == (Decimal("0.1"), Decimal("0.0001"))
    [noted] = events("market.created")
    assert noted.details == {
        "symbol": "BTC/USDT",
        "exchange": "okx",
        "exchange_symbol": "BTC-USDT",
        "market": str(market.id),
    }


@pytest.mark.parametrize(("symbol", "exchange"), [("BTC/USDT", "kraken"), ("BTC/USDT:USDT", "okx")])
def test_a_spelling_that_no_rule_gives_has_to_be_told(symbol, exchange):
    with pytest.raises(InvalidInput) as wrong:
        make(symbol, exchange)

    assert list(wrong.value.fields) == ["exchange_symbol"]
    assert make(symbol, exchange, exchange_symbol="XBT/USDT").exchange_symbol == "XBT/USDT"


def test_a_disabled_exchange_gets_no_market():
    make_exchange("gate", is_enabled=False)

    with pytest.raises(InvalidInput) as wrong:
        make(exchange="gate")

    assert list(wrong.value.fields) == ["exchange"]


def test_a_market_that_is_there_is_named():
    market = make()

    with pytest.raises(Duplicate) as taken:
        make()

    assert taken.value.existing == {"symbol": str(market.id)}


def test_a_change_tells_what_was_and_is_and_nothing_new_leaves_no_trace():
    market = make()

    changed, affected = update_market(market.id, {"price_tick": Decimal("0.50")}, ACTOR, version=1)
    update_market(market.id, {"price_tick": Decimal("0.5")}, ACTOR)

    [noted] = events("market.updated")
    assert (changed.version, changed.price_tick, affected) == (2, Decimal("0.5"), [])
    assert noted.details["from_price_tick"] == "0.1"
    assert noted.details["to_price_tick"] == "0.5"


def test_somebody_who_was_slower_is_told_so():
    market = make()
    update_market(market.id, {"min_notional": None}, ACTOR)

    with pytest.raises(Stale, match="it is at version 2, not 1"):
        update_market(market.id, DELISTED, ACTOR, version=1)


def test_a_delisting_marks_every_client_there_and_tells_each():
    beta, acme, gone = (make_client(name=name) for name in ("beta", "Acme", "Gone"))
    for client in (beta, acme, gone):
        add_client_markets(client.id, [make_item(), make_item("ETH/USDT")], ACTOR)
    market_id = list_markets({"q": "BTC"}).rows[0].id
    row = db.session.scalars(
        select(ClientMarket).filter_by(client_id=gone.id, market_id=market_id)
    ).one()
    row.status = QuotingStatus.DELISTED
    db.session.flush()

    listed = affected_by(market_id)
    market, affected = update_market(market_id, DELISTED, ACTOR, version=1)

    assert [one.name for one in affected] == ["Acme", "beta"] == [one.name for one in listed]
    assert [one.client_id for one in events("client_market.delisted")] == [acme.id, beta.id]
    assert events("client_market.delisted")[0].details["markets"] == "BTC/USDT on okx"
    db.session.flush()
    db.session.expire_all()
    here = db.session.scalars(select(ClientMarket).filter_by(market_id=market_id)).all()
    assert {one.status for one in here} == {QuotingStatus.DELISTED}
    assert sorted(one.version for one in here) == [1, 2, 2]
    assert (market.status, affected_by(market_id)) == (MarketStatus.DELISTED, [])


def test_what_is_listed_again_quotes_nobody_until_somebody_says_so():
    client = make_client()
    [row] = add_client_markets(client.id, [make_item()], ACTOR)
    update_market(row.market_id, DELISTED, ACTOR)
    with pytest.raises(InvalidTransition):
        update_client_market(client.id, row.id, {"status": QuotingStatus.ACTIVE}, ACTOR)

    update_market(row.market_id, {"status": MarketStatus.TRADING}, ACTOR)

    db.session.flush()
    db.session.expire_all()
    assert quoted(client).status is QuotingStatus.DELISTED
    update_client_market(client.id, row.id, {"status": QuotingStatus.ACTIVE}, ACTOR)
    assert quoted(client).status is QuotingStatus.ACTIVE


def test_a_delisted_market_cannot_be_halted():
    market = make()
    update_market(market.id, DELISTED, ACTOR)

    with pytest.raises(InvalidTransition, match="A market that is delisted cannot become halted"):
        update_market(market.id, {"status": MarketStatus.HALTED}, ACTOR)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["BTC/USDT binance", "BTC/USDT okx", "ETH/USDT kraken"]),
        ({"q": "btc_usdt"}, ["BTC/USDT binance", "BTC/USDT okx"]),
        ({"q": "btcusdt"}, ["BTC/USDT binance"]),
        ({"q": "xeth"}, ["ETH/USDT kraken"]),
        ({"q": "%"}, []),
        ({"exchange": "okx"}, ["BTC/USDT okx"]),
        ({"status": MarketStatus.HALTED}, ["ETH/USDT kraken"]),
    ],
)
def test_markets_are_found_by_either_spelling_exchange_and_status(filters, found):
    make()
    make(exchange="binance")
    halted = make("ETH/USDT", "kraken", exchange_symbol="XETHUSDT")
    update_market(halted.id, {"status": MarketStatus.HALTED}, ACTOR)

    rows = list_markets(filters).rows

    assert [f"{row.symbol} {row.exchange}" for row in rows] == found


def test_a_market_that_is_not_there_is_not_found():
    with pytest.raises(NotFound):
        get_market(uuid4())
    with pytest.raises(NotFound):
        update_market(uuid4(), DELISTED, ACTOR)
