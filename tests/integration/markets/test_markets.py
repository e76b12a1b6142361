from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from pipelabs.audit import trail
from pipelabs.core.db import db, finish
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound, Stale
from pipelabs.markets import delisting
from pipelabs.markets.client_markets import update_client_market
from pipelabs.markets.delisting import find_affected_clients
from pipelabs.markets.markets import (
    create_market,
    get_market,
    list_markets,
    update_market,
)
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.client_markets import ClientMarketChanges
from pipelabs.markets.schemas.markets import MarketChanges, NewMarket
from pipelabs.markets.symbols import parse
from pipelabs.models import AuditEvent, ClientMarket, MarketStatus, Proof, QuotingStatus
from tests.factories import ACTOR, make_client, make_exchange, make_item

RULES: dict[str, Any] = {
    "price_tick": Decimal("0.1"),
    "amount_step": Decimal("0.0001"),
    "min_notional": Decimal(5),
}
DELISTED = MarketChanges(status=MarketStatus.DELISTED)
PAUSED = ClientMarketChanges(status=QuotingStatus.PAUSED)
RESUMED = ClientMarketChanges(status=QuotingStatus.ACTIVE)


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


def make(symbol="BTC/USDT", exchange="okx", **changes):
    new = NewMarket(symbol=parse(symbol), exchange=exchange, exchange_symbol=None, **RULES)
    return create_market(replace(new, **changes), ACTOR)


def events(name):
    query = select(AuditEvent).filter_by(event=name).order_by(AuditEvent.id)
    return db.session.scalars(query).all()


def quoted(client):
    return db.session.scalars(select(ClientMarket).filter_by(client_id=client.id)).one()


def test_create_market_formats_the_exchange_symbol_and_records_it():
    market = make()

    assert (market.symbol, market.exchange_symbol) == ("BTC/USDT", "BTC-USDT")
    assert (market.price_tick, market.amount_step) == (Decimal("0.1"), Decimal("0.0001"))
    [noted] = events("market.created")
    assert noted.details == {
        "symbol": "BTC/USDT",
        "exchange": "okx",
        "exchange_symbol": "BTC-USDT",
        "market": str(market.id),
        "subject": f"market:{market.id}",
    }


@pytest.mark.parametrize(("symbol", "exchange"), [("BTC/USDT", "kraken"), ("BTC/USDT:USDT", "okx")])
def test_create_market_requires_an_exchange_symbol_without_a_rule(symbol, exchange):
    with pytest.raises(InvalidInput) as wrong:
        make(symbol, exchange)

    assert list(wrong.value.fields) == ["exchange_symbol"]
    assert make(symbol, exchange, exchange_symbol="XBT/USDT").exchange_symbol == "XBT/USDT"


HANZI, KATAKANA = "\u529b\u5de5/USDT", "\u30ab\u30a8/USDT"
"""Other letters that look alike."""


def test_create_market_rejects_a_symbol_that_looks_like_another_on_the_exchange():
    make_exchange("gate")
    make(HANZI)
    make("\u5e01\u5b89/USDT")

    with pytest.raises(InvalidInput) as wrong:
        make(KATAKANA)

    assert wrong.value.fields == {
        "symbol": [f"{KATAKANA} looks like {HANZI}, which is listed on OKX."]
    }
    assert make(KATAKANA, "gate").exchange_symbol == "\u30ab\u30a8_USDT"
    with pytest.raises(Duplicate):
        make(HANZI)


def test_create_market_rejects_a_disabled_exchange():
    make_exchange("gate", is_enabled=False)

    with pytest.raises(InvalidInput) as wrong:
        make(exchange="gate")

    assert list(wrong.value.fields) == ["exchange"]


def test_create_market_names_the_existing_market():
    market = make()

    with pytest.raises(Duplicate) as taken:
        make()

    assert taken.value.existing == {"symbol": str(market.id)}


def test_update_market_records_old_and_new_values_once():
    market = make()

    changed, affected = update_market(
        market.id, MarketChanges(price_tick=Decimal("0.50")), ACTOR, version=1
    )
    update_market(market.id, MarketChanges(price_tick=Decimal("0.5")), ACTOR)

    [noted] = events("market.updated")
    assert (changed.version, changed.price_tick, affected.count) == (2, Decimal("0.5"), 0)
    assert noted.details["from_price_tick"] == "0.1"
    assert noted.details["to_price_tick"] == "0.5"


def test_update_market_rejects_a_stale_version():
    market = make()
    update_market(market.id, MarketChanges(min_notional=None), ACTOR)

    with pytest.raises(Stale, match="it is at version 2, not 1"):
        update_market(market.id, DELISTED, ACTOR, version=1)


def test_update_market_delists_and_records_every_client_market():
    beta, acme, gone = (make_client(name=name) for name in ("beta", "Acme", "Gone"))
    for client in (beta, acme, gone):
        add_client_markets(client.id, [make_item(), make_item("ETH/USDT")], ACTOR)
    market_id = list_markets({"q": "BTC"}).rows[0].id
    row = db.session.scalars(
        select(ClientMarket).filter_by(client_id=gone.id, market_id=market_id)
    ).one()
    row.status = QuotingStatus.DELISTED
    db.session.flush()

    before = find_affected_clients(market_id)
    market, affected = update_market(market_id, DELISTED, ACTOR, version=1)

    assert (before.count, [client.name for client in before.listed]) == (2, ["Acme", "beta"])
    assert affected == before
    assert {event.client_id for event in events("client_market.delisted")} == {acme.id, beta.id}
    assert events("client_market.delisted")[0].details["markets"] == "BTC/USDT on okx"
    db.session.flush()
    db.session.expire_all()
    stored = db.session.scalars(select(ClientMarket).filter_by(market_id=market_id)).all()
    assert {row.status for row in stored} == {QuotingStatus.DELISTED}
    assert sorted(row.version for row in stored) == [1, 2, 2]
    assert (market.status, find_affected_clients(market_id).count) == (MarketStatus.DELISTED, 0)


@pytest.fixture
def five(monkeypatch):
    """A market with five clients, two paused, which a delisting takes two at a time."""
    monkeypatch.setattr(delisting, "BATCH", 2)
    monkeypatch.setattr(delisting, "MAX_LISTED", 3)
    for name in "edcba":
        client = make_client(name=name)
        [row] = add_client_markets(client.id, [make_item()], ACTOR)
        if name in "ad":
            update_client_market(client.id, row.id, PAUSED, ACTOR)
    return row.market_id


def interrupt(monkeypatch, after):
    """Let the recording of a batch fail once some batches were recorded."""
    record, calls = trail.record_each, []

    def fail(*arguments, **rest):
        calls.append(arguments)
        if len(calls) > after:
            raise OperationalError("", {}, Exception())
        record(*arguments, **rest)

    monkeypatch.setattr(trail, "record_each", fail)


def statuses(market_id):
    query = select(ClientMarket.status).filter_by(market_id=market_id)
    return Counter(db.session.scalars(query))


def test_delisting_commits_after_each_batch_and_names_some_clients(five, commits):
    commits()

    market, affected = update_market(five, DELISTED, ACTOR)

    assert commits() == 2
    names = [client.name for client in affected.listed]
    assert (affected.count, len(names), names) == (5, 3, sorted(names))
    assert market.status is MarketStatus.DELISTED
    assert statuses(five) == {QuotingStatus.DELISTED: 5}
    noted = events("client_market.delisted")
    assert len({event.client_id for event in noted}) == len({event.uid for event in noted}) == 5
    assert {event.proof for event in noted} == {Proof.VALID}


@pytest.mark.parametrize("done", [0, 1, 2])
def test_interrupted_delisting_leaves_nobody_quoted_and_is_continued(five, monkeypatch, done):
    finish(commit=True)
    with monkeypatch.context() as patch:
        interrupt(patch, done)
        with pytest.raises(OperationalError):
            update_market(five, DELISTED, ACTOR)
        finish(commit=False)

    if done:
        assert get_market(five).status is MarketStatus.DELISTED
        with pytest.raises(InvalidTransition, match="have not been delisted yet"):
            update_market(five, MarketChanges(status=MarketStatus.TRADING), ACTOR)
        left = db.session.scalars(select(ClientMarket).filter_by(status="paused")).all()[0]
        with pytest.raises(InvalidTransition, match="is delisted on OKX"):
            update_client_market(left.client_id, left.id, RESUMED, ACTOR)
    again = update_market(five, DELISTED, ACTOR).affected

    assert again.count == (3 if done else 5)
    assert statuses(five) == {QuotingStatus.DELISTED: 5}
    assert len({event.client_id for event in events("client_market.delisted")}) == 5
    assert len(events("client_market.delisted")) == 5
    assert len(events("market.updated")) == 1
    update_market(five, MarketChanges(status=MarketStatus.TRADING), ACTOR)


def test_delisting_again_changes_and_records_nothing(five):
    update_market(five, DELISTED, ACTOR)

    market, affected = update_market(five, DELISTED, ACTOR)

    assert (affected.count, affected.listed, market.version) == (0, [], 2)
    assert len(events("client_market.delisted")) == 5


def test_update_market_listed_again_leaves_clients_delisted():
    client = make_client()
    [row] = add_client_markets(client.id, [make_item()], ACTOR)
    update_market(row.market_id, DELISTED, ACTOR)
    with pytest.raises(InvalidTransition):
        update_client_market(
            client.id, row.id, ClientMarketChanges(status=QuotingStatus.ACTIVE), ACTOR
        )

    update_market(row.market_id, MarketChanges(status=MarketStatus.TRADING), ACTOR)

    db.session.flush()
    db.session.expire_all()
    assert quoted(client).status is QuotingStatus.DELISTED
    update_client_market(client.id, row.id, ClientMarketChanges(status=QuotingStatus.ACTIVE), ACTOR)
    assert quoted(client).status is QuotingStatus.ACTIVE


def test_update_market_cannot_halt_a_delisted_market():
    market = make()
    update_market(market.id, DELISTED, ACTOR)

    with pytest.raises(InvalidTransition, match="A market that is delisted cannot become halted"):
        update_market(market.id, MarketChanges(status=MarketStatus.HALTED), ACTOR)


@pytest.mark.parametrize(
    ("filters", "expected"),
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
def test_list_markets_filters_by_symbol_exchange_and_status(filters, expected):
    make()
    make(exchange="binance")
    halted = make("ETH/USDT", "kraken", exchange_symbol="XETHUSDT")
    update_market(halted.id, MarketChanges(status=MarketStatus.HALTED), ACTOR)

    rows = list_markets(filters).rows

    assert [f"{row.symbol} {row.exchange}" for row in rows] == expected


def test_get_and_update_market_raise_not_found():
    with pytest.raises(NotFound):
        get_market(uuid4())
    with pytest.raises(NotFound):
        update_market(uuid4(), DELISTED, ACTOR)
