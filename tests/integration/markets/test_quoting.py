from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import event, func, select

from pipelabs.clients.service import change_status
from pipelabs.core.db import db, finish, unit_of_work
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.markets.markets import UNTOLD, update_market
from pipelabs.markets.quoting import add_client_markets, facts_of
from pipelabs.models import (
    AuditEvent,
    Bot,
    Client,
    ClientMarket,
    Market,
    MarketStatus,
    QuotingStatus,
    Status,
    TokenPair,
)
from tests.factories import ACTOR, make_client, make_exchange, make_item

DELISTED = {"status": MarketStatus.DELISTED}


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def acme():
    return make_client()


def add(client, *items):
    return add_client_markets(client.id, items, ACTOR)


def refusal(client, *items, kind=InvalidInput):
    with pytest.raises(kind) as refused:
        add(client, *items)
    return refused.value


def count(model):
    return db.session.scalar(select(func.count()).select_from(model))


def many(number):
    return [
        make_item(f"A{one}/USDT", slug)
        for one in range(number // 3)
        for slug in ("okx", "binance", "gate")
    ]


def test_pairs_and_markets_are_made_on_the_way(acme):
    rows = add(
        acme,
        make_item("ETH/USDT", "binance", bot=Bot.BOTH, spread_target_bps=Decimal("12.5")),
        make_item("BTC/USDT", "okx", daily_volume_target=Decimal(250_000)),
        make_item("BTC/USDT", "binance"),
        make_item("BTC/USDT:USDT", "okx", exchange_symbol="BTC-USDT-SWAP"),
    )

    assert [(row.symbol, row.exchange, row.exchange_symbol) for row in rows] == [
        ("ETH/USDT", "binance", "ETHUSDT"),
        ("BTC/USDT", "okx", "BTC-USDT"),
        ("BTC/USDT", "binance", "BTCUSDT"),
        ("BTC/USDT:USDT", "okx", "BTC-USDT-SWAP"),
    ]
    assert (rows[0].bot, rows[0].spread_target_bps) == (Bot.BOTH, Decimal("12.5"))
    assert (rows[1].daily_volume_target, rows[1].status) == (250_000, QuotingStatus.ACTIVE)
    assert (count(TokenPair), count(Market), count(ClientMarket)) == (3, 4, 4)


def test_what_is_there_is_used(acme):
    other = make_client(name="Other")
    first = add(other, make_item(), make_item("BTC/USDT:USDT", exchange_symbol="BTC-USDT-SWAP"))

    second = add(acme, make_item("BTC/USDT:USDT"), make_item())

    assert [row.market_id for row in second] == [row.market_id for row in reversed(first)]
    assert (count(TokenPair), count(Market), count(ClientMarket)) == (2, 2, 4)


def test_a_batch_leaves_one_event_that_is_the_clients(acme):
    add(acme, *many(30))

    noted = db.session.scalars(select(AuditEvent).filter_by(event="client_market.added")).one()
    assert noted.client_id == acme.id
    listed = noted.details.pop("listed").split(", ")
    assert (len(listed), listed[-1]) == (30, "A9/USDT on gate")
    assert noted.details == {
        "count": "30",
        "markets": "A0/USDT on okx, A0/USDT on binance, A0/USDT on gate, A1/USDT on okx, A1/USDT on"
        " binance, A1/USDT on gate, A2/USDT on okx, A2/USDT on binance and 22 more",
        "exchanges": "binance: 10, gate: 10, okx: 10",
    }
    assert facts_of([])["markets"] == ""


def test_every_wrong_item_is_named_at_once_and_nothing_is_added(acme):
    make_exchange("gate", is_enabled=False)
    make_exchange("bybit")
    db.session.delete(db.session.get_one(make_exchange("bybit").__class__, "bybit"))
    [row, gone] = add(acme, make_item("OLD/USDT"), make_item("GONE/USDT"))
    update_market(gone.market_id, {"status": MarketStatus.DELISTED}, ACTOR)
    other = make_client(name="Other")
    add(other, make_item("LTC/USDT"))
    before = count(TokenPair), count(Market)
    items = [
        make_item("NEW/USDT"),
        make_item("NEW/USDT", "gate"),
        make_item("NEW/USDT", "bybit"),
        make_item("NEW/USDT"),
        make_item("OLD/USDT"),
        make_item("NEW/USDT:USDT"),
        make_item("NEW/USDT", "kraken"),
    ]

    wrong = refusal(acme, *items)

    assert wrong.fields == {
        "markets.1.exchange": ["Gate is disabled here."],
        "markets.2.exchange": ["There is no such exchange."],
        "markets.3.symbol": ["NEW/USDT on okx stands in the list twice, first as item 1."],
        "markets.4.symbol": ["OLD/USDT on okx is quoted already."],
        "markets.5.exchange_symbol": [f"NEW/USDT:USDT on okx: {UNTOLD}"],
        "markets.6.exchange_symbol": [f"NEW/USDT on kraken: {UNTOLD}"],
    }
    assert refusal(other, make_item("GONE/USDT")).fields == {
        "markets.0.symbol": ["GONE/USDT on okx is delisted."]
    }
    assert count(ClientMarket) == 3
    assert (before, row.status) == ((3, 3), QuotingStatus.ACTIVE)


def test_whoever_is_quoted_everywhere_already_is_told_where(acme):
    [row] = add(acme, make_item())

    taken = refusal(acme, make_item(), kind=Duplicate)

    assert taken.existing == {"markets.0.symbol": str(row.id)}
    assert taken.fields == {"markets.0.symbol": ["BTC/USDT on okx is quoted already."]}


def test_an_offboarded_client_is_quoted_nowhere_new(acme):
    change_status(acme.id, Status.OFFBOARDED, ACTOR)

    assert refusal(acme, make_item(), kind=InvalidTransition).code == "invalid_transition"


def test_a_client_that_is_not_there_is_not_found():
    with pytest.raises(NotFound):
        add_client_markets(uuid4(), [make_item()], ACTOR)


def test_three_hundred_markets_cost_as_many_statements_as_one(app, acme):
    other = make_client(name="Other")
    heard = []
    # Savepoints of the test's own are no statements of the service.
    connection = db.session.connection()
    event.listen(connection, "before_cursor_execute", lambda *told: heard.append(told[2]))

    add(acme, make_item())
    alone = len(heard)
    add(other, *many(300))

    assert alone <= 9
    assert len(heard) == 2 * alone
    assert count(ClientMarket) == 301


def test_settings_tell_the_pairs_once_each_in_order_and_none_that_is_delisted(acme):
    rows = add(acme, *many(6), make_item("ZZ/USDT"))
    update_market(rows[-1].market_id, {"status": MarketStatus.DELISTED}, ACTOR)
    acme_again = db.session.get_one(Client, acme.id)
    acme_again.settings = {"mm": 1, "token_pairs": ["SPOOFED/USDT"]}

    assert acme_again.shown_settings == {"mm": 1, "token_pairs": ["A0/USDT", "A1/USDT"]}


@pytest.fixture
def apart(app):
    """Return a runner of work in a thread and a transaction of its own."""
    pool = ThreadPoolExecutor(2)

    def work(function):
        with app.app_context(), unit_of_work():
            return function()

    yield lambda function: pool.submit(work, function)
    pool.shutdown()


@pytest.mark.own_database
def test_two_batches_that_make_the_same_markets_at_once_both_get_them(acme, apart):
    other = make_client(name="Other")
    finish(commit=True)

    batches = {acme.id: many(300), other.id: many(300)[::-1]}
    waiting = [
        apart(lambda one=one, some=some: add_client_markets(one, some, ACTOR))
        for one, some in batches.items()
    ]

    assert [len(one.result()) for one in waiting] == [300, 300]
    assert (count(Market), count(ClientMarket)) == (300, 600)


@pytest.mark.own_database
def test_a_delisting_waits_for_who_is_just_added_and_marks_it_too(acme, apart):
    other = make_client(name="Other")
    [row] = add(other, make_item())
    finish(commit=True)

    add(acme, make_item())
    waiting = apart(lambda: len(update_market(row.market_id, DELISTED, ACTOR).affected))
    with pytest.raises(TimeoutError):
        waiting.result(timeout=0.3)
    finish(commit=True)

    assert waiting.result() == 2
    assert set(db.session.scalars(select(ClientMarket.status))) == {QuotingStatus.DELISTED}
