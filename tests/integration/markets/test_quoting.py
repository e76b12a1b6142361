from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import event, func, select

from pipelabs.clients.schemas import show_settings
from pipelabs.clients.service import change_status
from pipelabs.core.db import db, finish, unit_of_work
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.markets.markets import NO_SYMBOL_RULE, update_market
from pipelabs.markets.quoting import add_client_markets, items_facts
from pipelabs.markets.schemas.markets import MarketChanges
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
from tests.integration.row_locks import waiting
from tests.waiting import wait_for

DELISTED = MarketChanges(status=MarketStatus.DELISTED)


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
        make_item(f"A{place}/USDT", slug)
        for place in range(number // 3)
        for slug in ("okx", "binance", "gate")
    ]


def test_add_client_markets_creates_pairs_and_markets(acme):
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


def test_add_client_markets_uses_existing_markets(acme):
    other = make_client(name="Other")
    first = add(other, make_item(), make_item("BTC/USDT:USDT", exchange_symbol="BTC-USDT-SWAP"))

    second = add(acme, make_item("BTC/USDT:USDT"), make_item())

    assert [row.market_id for row in second] == [row.market_id for row in reversed(first)]
    assert (count(TokenPair), count(Market), count(ClientMarket)) == (2, 2, 4)


def test_add_client_markets_rejects_symbols_that_look_alike_on_an_exchange(acme):
    hanzi, katakana = "\u529b\u5de5/USDT", "\u30ab\u30a8/USDT"
    add(acme, make_item(hanzi))
    items = [
        make_item("BTC/USDT"),
        make_item(katakana),
        make_item(katakana, "binance"),
        make_item(hanzi, "binance"),
    ]

    assert refusal(acme, *items).fields == {
        "markets.1.symbol": [f"{katakana} looks like {hanzi}, which is listed on OKX."],
        "markets.3.symbol": [f"{hanzi} looks like {katakana}, which is listed on Binance."],
    }


def test_add_client_markets_records_one_event_of_the_client(acme):
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
        "subject": f"client:{acme.id}",
    }
    assert items_facts([])["markets"] == ""


def test_add_client_markets_names_every_wrong_item_and_adds_none(acme):
    make_exchange("gate", is_enabled=False)
    make_exchange("bybit")
    db.session.delete(db.session.get_one(make_exchange("bybit").__class__, "bybit"))
    [row, gone] = add(acme, make_item("OLD/USDT"), make_item("GONE/USDT"))
    update_market(gone.market_id, MarketChanges(status=MarketStatus.DELISTED), ACTOR)
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
        "markets.1.exchange": ["Gate is disabled."],
        "markets.2.exchange": ["There is no such exchange."],
        "markets.3.symbol": ["NEW/USDT on OKX is in the list twice, first as item 1."],
        "markets.4.symbol": ["OLD/USDT on OKX is already quoted."],
        "markets.5.exchange_symbol": [f"NEW/USDT:USDT on OKX: {NO_SYMBOL_RULE}"],
        "markets.6.exchange_symbol": [f"NEW/USDT on Kraken: {NO_SYMBOL_RULE}"],
    }
    assert refusal(other, make_item("GONE/USDT")).fields == {
        "markets.0.symbol": ["GONE/USDT on OKX is delisted."]
    }
    assert count(ClientMarket) == 3
    assert (before, row.status) == ((3, 3), QuotingStatus.ACTIVE)


def test_add_client_markets_names_the_existing_client_markets(acme):
    [row] = add(acme, make_item())

    taken = refusal(acme, make_item(), kind=Duplicate)

    assert taken.existing == {"markets.0.symbol": str(row.id)}
    assert taken.fields == {"markets.0.symbol": ["BTC/USDT on OKX is already quoted."]}


def test_add_client_markets_rejects_an_offboarded_client(acme):
    change_status(acme.id, Status.OFFBOARDED, ACTOR)

    assert refusal(acme, make_item(), kind=InvalidTransition).code == "invalid_transition"


def test_add_client_markets_raises_not_found():
    with pytest.raises(NotFound):
        add_client_markets(uuid4(), [make_item()], ACTOR)


def test_add_client_markets_needs_as_many_statements_for_300_as_for_one(app, acme):
    other = make_client(name="Other")
    statements = []
    # On the connection, because savepoints of the test are not statements of the service.
    connection = db.session.connection()
    event.listen(connection, "before_cursor_execute", lambda *call: statements.append(call[2]))

    add(acme, make_item())
    count_for_one = len(statements)
    add(other, *many(300))

    assert count_for_one <= 9
    assert len(statements) == 2 * count_for_one
    assert count(ClientMarket) == 301


def test_shown_settings_list_quoted_pairs_once_in_order(acme):
    rows = add(acme, *many(6), make_item("ZZ/USDT"))
    update_market(rows[-1].market_id, MarketChanges(status=MarketStatus.DELISTED), ACTOR)
    acme_again = db.session.get_one(Client, acme.id)
    acme_again.settings = {"mm": 1, "token_pairs": ["SPOOFED/USDT"]}

    assert show_settings(acme_again.settings, acme_again.symbols) == {
        "mm": 1,
        "token_pairs": ["A0/USDT", "A1/USDT"],
    }


@pytest.fixture
def apart(app):
    """Return a function that runs another one in a thread with its own transaction."""
    pool = ThreadPoolExecutor(2)

    def work(function):
        with app.app_context(), unit_of_work():
            return function()

    yield lambda function: pool.submit(work, function)
    pool.shutdown()


@pytest.mark.own_database
def test_add_client_markets_at_the_same_time_share_new_markets(acme, apart):
    other = make_client(name="Other")
    finish(commit=True)

    batches = {acme.id: many(300), other.id: many(300)[::-1]}
    jobs = [
        apart(lambda id_=client_id, items=items: add_client_markets(id_, items, ACTOR))
        for client_id, items in batches.items()
    ]

    assert [len(future.result()) for future in jobs] == [300, 300]
    assert (count(Market), count(ClientMarket)) == (300, 600)


@pytest.mark.own_database
def test_delisting_waits_for_an_addition_and_delists_it(acme, apart):
    other = make_client(name="Other")
    [row] = add(other, make_item())
    finish(commit=True)

    add(acme, make_item())
    delisting = apart(lambda: update_market(row.market_id, DELISTED, ACTOR).affected.count)
    with pytest.raises(TimeoutError):
        delisting.result(timeout=0.3)
    finish(commit=True)

    assert delisting.result() == 2
    assert set(db.session.scalars(select(ClientMarket.status))) == {QuotingStatus.DELISTED}


@pytest.mark.own_database
def test_add_client_markets_at_the_same_time_list_no_symbols_that_look_alike(app, acme, apart):
    other = make_client(name="Other")
    finish(commit=True)

    add(acme, make_item("\u529b\u5de5/USDT"))
    second = apart(lambda: add(other, make_item("\u30ab\u30a8/USDT")))
    wait_for(lambda: waiting(app) == 1)
    finish(commit=True)

    with pytest.raises(InvalidInput):
        second.result()
    assert count(Market) == 1
