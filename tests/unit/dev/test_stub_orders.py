"""Trading at the stub's OKX, through ccxt as a quoter does."""

import http.client
import json
from decimal import Decimal
from urllib.parse import urlsplit

import ccxt
import pytest

from tests.each import each
from tests.stub_exchange import Scenario, credentials, running
from tests.stub_exchange.orders import Order, Orders

SYMBOL = "BTC/USDT"
TRADER = "okx-trade-only"


@pytest.fixture
def stub():
    with running() as stub:
        yield stub


@pytest.fixture
def okx(stub):
    """Return a maker of ccxt's OKX with a key of the stub, or without one."""
    opened = []

    def create(scenario=None, *numbers, **changes):
        known = credentials("okx", scenario, *numbers) | changes if scenario else {}
        names = {"api_key": "apiKey", "api_secret": "secret", "passphrase": "password"}
        settings = {names[name]: value for name, value in known.items()}
        urls = {"api": {"rest": f"{stub.base_url}/okx"}}
        exchange = ccxt.okx({"enableRateLimit": False, "urls": urls, **settings})
        opened.append(exchange)
        return exchange

    yield create
    for exchange in opened:
        exchange.session.close()


def test_prices_and_instruments_need_no_key(okx, stub):
    exchange = okx()

    markets = exchange.load_markets()
    ticker = exchange.fetch_ticker(SYMBOL)
    book = exchange.fetch_order_book(SYMBOL)

    assert set(markets) == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
    assert 64_000 < ticker["bid"] < ticker["last"] < ticker["ask"] < 66_000
    assert [level[0] for level in book["bids"]] == sorted(
        (level[0] for level in book["bids"]), reverse=True
    )
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(book["asks"]) == 5


def test_key_that_trades_places_lists_and_cancels_orders(okx, stub):
    exchange = okx(Scenario.TRADE_ONLY)
    bid = exchange.create_order(SYMBOL, "limit", "buy", 0.01, 64_000, {"postOnly": True})
    exchange.options["createOrder"] = "privatePostTradeOrder"
    ask = exchange.create_order(SYMBOL, "limit", "sell", 0.02, 66_000.07)

    opened = exchange.fetch_open_orders(SYMBOL)
    others = exchange.fetch_open_orders("ETH/USDT")
    exchange.cancel_orders([bid["id"]], SYMBOL)
    exchange.cancel_order(ask["id"], SYMBOL)

    assert [(order["id"], order["side"], order["price"], order["amount"]) for order in opened] == [
        (bid["id"], "buy", 64_000, 0.01),
        (ask["id"], "sell", 66_000.1, 0.02),
    ]
    assert opened[0]["postOnly"]
    assert others == []
    assert stub.orders.list_open(TRADER) == {}
    assert (stub.orders.accepted[TRADER], stub.orders.rejected[TRADER]) == (2, 0)


def test_keys_of_one_account_share_its_orders(okx, stub):
    older, newer, other = (okx(Scenario.QUOTER, *numbers) for numbers in ((7, 1), (7, 2), (8, 1)))

    order = older.create_order(SYMBOL, "limit", "buy", 0.01, 64_000)

    assert [open_["id"] for open_ in newer.fetch_open_orders(SYMBOL)] == [order["id"]]
    assert other.fetch_open_orders(SYMBOL) == []
    newer.cancel_order(order["id"], SYMBOL)
    assert older.fetch_open_orders(SYMBOL) == []
    assert dict(stub.orders.accepted) == {"okx-quoter.7.1": 1}


def test_deleted_key_is_rejected(okx, stub):
    older, newer = (okx(Scenario.QUOTER, 7, number) for number in (1, 2))
    older.load_markets()
    stub.deleted.add("okx-quoter.7.1")

    with pytest.raises(ccxt.ExchangeError, match="50119"):
        older.create_order(SYMBOL, "limit", "buy", 0.01, 64_000)

    newer.create_order(SYMBOL, "limit", "buy", 0.01, 64_000)
    assert dict(stub.orders.rejected) == {"okx-quoter.7.1": 1}
    assert dict(stub.orders.accepted) == {"okx-quoter.7.2": 1}


def test_key_that_only_reads_places_no_order(okx, stub):
    exchange = okx(Scenario.READ_ONLY)

    with pytest.raises(ccxt.ExchangeError, match="50120"):
        exchange.create_order(SYMBOL, "limit", "buy", 0.01, 64_000)

    assert exchange.fetch_open_orders(SYMBOL) == []
    assert stub.orders.accepted["okx-read-only"] == 0
    assert stub.orders.rejected["okx-read-only"] == 1


@each(
    ("changes", "code"),
    [
        ({"api_secret": "another"}, "50113"),
        ({"passphrase": "another"}, "50105"),
        ({"api_key": "okx-unknown"}, "50119"),
    ],
)
def test_order_with_a_wrong_signature_is_rejected(okx, stub, changes, code):
    exchange = okx(Scenario.TRADE_ONLY, **changes)
    order = {"instId": "BTC-USDT", "side": "buy", "ordType": "limit", "px": "64000", "sz": "1"}

    with pytest.raises(ccxt.ExchangeError, match=code):
        exchange.privatePostTradeOrder(order)

    assert stub.orders.accepted.total() == 0


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ({"instId": "BTC-EUR"}, "51001"),
        ({"side": "hold"}, "51000"),
        ({"ordType": "market"}, "51000"),
        ({"px": "-1"}, "51000"),
        ({"px": "much"}, "51000"),
        ({"sz": "0.000001"}, "51020"),
    ],
)
def test_invalid_order_is_rejected_and_the_others_of_its_batch_are_not(okx, stub, order, error):
    exchange = okx(Scenario.TRADE_ONLY)
    valid = {"instId": "BTC-USDT", "side": "buy", "ordType": "limit", "px": "64000", "sz": "1"}

    answer = exchange.privatePostTradeBatchOrders([valid, valid | order])

    assert answer["code"] == "2"
    assert [row["sCode"] for row in answer["data"]] == ["0", error]
    assert len(stub.orders.list_open(TRADER)) == 1
    assert stub.orders.rejected[TRADER] == 1


def test_orders_of_one_key_are_not_those_of_another(okx):
    mine, theirs = okx(Scenario.TRADE_ONLY), okx(Scenario.IP_BOUND)
    order = mine.create_order(SYMBOL, "limit", "buy", 0.01, 64_000)

    with pytest.raises(ccxt.OrderNotFound):
        theirs.cancel_order(order["id"], SYMBOL)

    assert theirs.fetch_open_orders(SYMBOL) == []
    assert len(mine.fetch_open_orders(SYMBOL)) == 1


def test_unknown_instrument_has_no_price(stub):
    connection = http.client.HTTPConnection(urlsplit(stub.base_url).netloc)
    connection.request("GET", "/okx/api/v5/market/ticker?instId=NO-SUCH")
    answer = json.loads(connection.getresponse().read())
    connection.close()

    assert (answer["code"], answer["data"]) == ("51001", [])


def test_timer_of_the_exchange_has_a_range(okx):
    exchange = okx(Scenario.TRADE_ONLY)

    assert exchange.cancel_all_orders_after(10_000)["code"] == "0"
    assert exchange.cancel_all_orders_after(0)["data"][0]["triggerTime"] == "0"
    with pytest.raises(ccxt.BadRequest):
        exchange.cancel_all_orders_after(9_000)


def test_orders_are_cancelled_when_the_timer_is_not_renewed(order):
    now = 100.0
    orders = Orders(lambda: now)
    orders.place("quiet", order)
    orders.place("renewed", order)
    orders.place("switched-off", order)
    for name in ("quiet", "renewed", "switched-off"):
        orders.cancel_after(name, 10)

    now = 105.0
    orders.cancel_after("renewed", 10)
    orders.cancel_after("switched-off", 0)
    now = 110.0

    assert list(map(len, map(orders.list_open, ("quiet", "renewed", "switched-off")))) == [0, 1, 1]
    orders.place("quiet", order)
    assert len(orders.list_open("quiet")) == 1


@pytest.fixture
def order():
    return Order("BTC-USDT", "buy", "limit", Decimal(64_000), Decimal(1), "", 0)
