"""What a trading program asks OKX: instruments, prices and orders.

https://www.okx.com/docs-v5/en/, whose examples are the model. Prices move in a slow wave.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qs

from tests.stub_exchange.endpoint import Access, Call, Endpoint
from tests.stub_exchange.orders import Order

LISTED_AT_MS = "1548133413000"
WAVE_S = 60
WAVE = 0.0005
"""How far a price moves to both sides, as a part of it."""
LEVELS = 5
TIMEOUTS_S = range(10, 121)
"""Of the timer that cancels all orders; 0 switches it off."""
NO_INSTRUMENT = "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist."
TOO_SMALL = "51020", "Your order should meet or exceed the minimum order amount."
NOT_OPEN = (
    "51400",
    "Cancellation failed as the order has been filled, canceled or does not exist.",
)


@dataclass(frozen=True)
class Instrument:
    """A spot market: the middle of its price, and the steps of price and size."""

    price: Decimal
    tick: Decimal
    lot: Decimal
    min_size: Decimal

    def mid(self, now: float) -> Decimal:
        """Return the price at a time, a multiple of the tick."""
        moved = 1 + WAVE * math.sin(2 * math.pi * now / WAVE_S)
        return (self.price * Decimal(moved)).quantize(self.tick)


INSTRUMENTS = {
    "BTC-USDT": Instrument(Decimal(65000), Decimal("0.1"), Decimal("1E-8"), Decimal("0.00001")),
    "ETH-USDT": Instrument(Decimal(3200), Decimal("0.01"), Decimal("1E-6"), Decimal("0.001")),
    "SOL-USDT": Instrument(Decimal(150), Decimal("0.01"), Decimal("1E-6"), Decimal("0.01")),
}


class Invalid(Exception):
    """A request that OKX would reject, with OKX's code and text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


def _instruments(call: Call) -> object:
    is_spot = _query(call, "instType") == "SPOT"
    return _succeed(list(map(_describe, INSTRUMENTS)) if is_spot else [])


def _describe(symbol: str) -> Mapping[str, str]:
    instrument = INSTRUMENTS[symbol]
    base, quote = symbol.split("-")
    return {
        "instType": "SPOT",
        "instId": symbol,
        "baseCcy": base,
        "quoteCcy": quote,
        "tickSz": f"{instrument.tick:f}",
        "lotSz": f"{instrument.lot:f}",
        "minSz": f"{instrument.min_size:f}",
        "listTime": LISTED_AT_MS,
        "state": "live",
    }


def _currencies(call: Call) -> object:
    names = sorted({name for symbol in INSTRUMENTS for name in symbol.split("-")})
    chain = {"canDep": True, "canWd": True, "canInternal": True, "minWd": "0.001", "fee": "0.0001"}
    return _succeed(
        [{"ccy": name, "name": name, "chain": f"{name}-Stub", **chain} for name in names]
    )


def _ticker(call: Call) -> object:
    symbol = _query(call, "instId")
    instrument = _find_instrument(symbol)
    mid = instrument.mid(call.now)
    return _succeed(
        [
            {
                "instType": "SPOT",
                "instId": symbol,
                "last": f"{mid}",
                "bidPx": f"{mid - instrument.tick}",
                "bidSz": "1",
                "askPx": f"{mid + instrument.tick}",
                "askSz": "1",
                "ts": _ms(call),
            }
        ]
    )


def _books(call: Call) -> object:
    instrument = _find_instrument(_query(call, "instId"))
    mid = instrument.mid(call.now)
    steps = [level * instrument.tick for level in range(1, LEVELS + 1)]
    bids, asks = ([[f"{mid + sign * step}", "1", "0", "1"] for step in steps] for sign in (-1, 1))
    return _succeed([{"asks": asks, "bids": bids, "ts": _ms(call)}])


def _open_orders(call: Call) -> object:
    symbol = _query(call, "instId")
    rows = [
        {
            "instType": "SPOT",
            "instId": order.symbol,
            "ordId": order_id,
            "clOrdId": order.client_id,
            "side": order.side,
            "ordType": order.kind,
            "px": f"{order.price:f}",
            "sz": f"{order.size:f}",
            "accFillSz": "0",
            "state": "live",
            "cTime": str(order.created_at_ms),
            "uTime": str(order.created_at_ms),
        }
        for order_id, order in call.orders.list_open(call.key.api_key).items()
        if symbol in {"", order.symbol}
    ]
    return _succeed(rows[::-1])


def _each(act: Callable[[Call, Mapping[str, str]], str]) -> Callable[[Call], object]:
    """Return an endpoint that does something with each item of a body, an object or a list."""

    def answer(call: Call) -> object:
        body = json.loads(call.request.body)
        items = body if isinstance(body, list) else [body]
        rows = [_do(act, call, item) for item in items]
        failed = sum(row["sCode"] != "0" for row in rows)
        if not failed:
            return _succeed(rows)
        if failed < len(rows):
            return {"code": "2", "msg": "Bulk operation partially succeeded", "data": rows}
        return {"code": "1", "msg": "All operations failed", "data": rows}

    return answer


def _do(
    act: Callable[[Call, Mapping[str, str]], str], call: Call, item: Mapping[str, str]
) -> Mapping[str, str]:
    row = {"clOrdId": item.get("clOrdId", ""), "tag": item.get("tag", ""), "ts": _ms(call)}
    try:
        return row | {"ordId": act(call, item), "sCode": "0", "sMsg": ""}
    except Invalid as error:
        return row | {"ordId": "", "sCode": error.code, "sMsg": error.message}


def _place(call: Call, item: Mapping[str, str]) -> str:
    """Accept an order and return its id."""
    try:
        return call.orders.place(call.key.api_key, _read_order(call, item))
    except Invalid:
        call.orders.reject(call.key.api_key)
        raise


def _read_order(call: Call, item: Mapping[str, str]) -> Order:
    instrument = _find_instrument(item.get("instId", ""))
    order = Order(
        symbol=item["instId"],
        side=_choose(item, "side", {"buy", "sell"}),
        kind=_choose(item, "ordType", {"limit", "post_only"}),
        price=_number(item, "px"),
        size=_number(item, "sz"),
        client_id=item.get("clOrdId", ""),
        created_at_ms=int(_ms(call)),
    )
    if order.size < instrument.min_size:
        raise Invalid(*TOO_SMALL)
    return order


def _cancel(call: Call, item: Mapping[str, str]) -> str:
    """Cancel the order that an item names by its id or the client's, and return its id."""
    name = item.get("ordId") or item.get("clOrdId")
    for order_id, order in call.orders.list_open(call.key.api_key).items():
        is_named = name in {order_id, order.client_id}
        if is_named and call.orders.cancel(call.key.api_key, order_id):
            return order_id
    raise Invalid(*NOT_OPEN)


def _cancel_after(call: Call) -> object:
    seconds = int(json.loads(call.request.body)["timeOut"])
    if seconds and seconds not in TIMEOUTS_S:
        raise _wrong("timeOut")
    call.orders.cancel_after(call.key.api_key, seconds)
    trigger = str(int((call.now + seconds) * 1000)) if seconds else "0"
    return _succeed([{"triggerTime": trigger, "tag": "", "ts": _ms(call)}])


def _find_instrument(symbol: str) -> Instrument:
    if instrument := INSTRUMENTS.get(symbol):
        return instrument
    raise Invalid(*NO_INSTRUMENT)


def _choose(item: Mapping[str, str], name: str, choices: set[str]) -> str:
    value = item.get(name, "")
    if value not in choices:
        raise _wrong(name)
    return value


def _number(item: Mapping[str, str], name: str) -> Decimal:
    """Return a positive number; raise `Invalid` for anything else."""
    try:
        value = Decimal(item.get(name, ""))
    except InvalidOperation:
        raise _wrong(name) from None
    if not value.is_finite() or value <= 0:
        raise _wrong(name)
    return value


def _wrong(name: str) -> Invalid:
    return Invalid("51000", f"Parameter {name} error")


def _query(call: Call, name: str) -> str:
    return parse_qs(call.request.query).get(name, [""])[0]


def _ms(call: Call) -> str:
    return str(int(call.now * 1000))


def _succeed(data: object) -> object:
    return {"code": "0", "msg": "", "data": data}


def _checked(answer: Callable[[Call], object]) -> Callable[[Call], object]:
    """Return an endpoint that answers an invalid request as OKX does, with status 200."""

    def checked(call: Call) -> object:
        try:
            return answer(call)
        except Invalid as error:
            return {"code": error.code, "msg": error.message, "data": []}

    return checked


ENDPOINTS = {
    "GET /api/v5/public/instruments": Endpoint(_instruments, Access.PUBLIC),
    "GET /api/v5/market/ticker": Endpoint(_checked(_ticker), Access.PUBLIC),
    "GET /api/v5/market/books": Endpoint(_checked(_books), Access.PUBLIC),
    "GET /api/v5/asset/currencies": Endpoint(_currencies),
    "GET /api/v5/trade/orders-pending": Endpoint(_open_orders),
    "POST /api/v5/trade/order": Endpoint(_each(_place), Access.TRADE),
    "POST /api/v5/trade/batch-orders": Endpoint(_each(_place), Access.TRADE),
    "POST /api/v5/trade/cancel-order": Endpoint(_each(_cancel), Access.TRADE),
    "POST /api/v5/trade/cancel-batch-orders": Endpoint(_each(_cancel), Access.TRADE),
    "POST /api/v5/trade/cancel-all-after": Endpoint(_checked(_cancel_after), Access.TRADE),
}
