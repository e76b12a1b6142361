"""`python -m dev.quoter`: an engine that quotes BTC/USDT on the stub exchange with a leased key.

The README's tour shows how to enrol it. It ends when the key is stopped, or with Ctrl-C.
"""

import os
import re
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import ccxt

from dev import agent
from dev.errors import CannotStart
from dev.places import STUB_ADDRESS

SYMBOL, AMOUNT, HALF_SPREAD = "BTC/USDT", 0.01, 0.0005
EVERY_S = 1.0
CANCEL_AFTER_MS = 10_000
"""A stop leaves no key to cancel with. The exchange does it, once we have been silent this long."""
LEFT = " The exchange cancels the open quotes within 10 seconds."
NO_STUB = "The stub exchange is not running. Start it in another terminal: make run"


def main() -> None:
    """Quote until Ctrl-C; raise `CannotStart` with the reason if the key can't be used any more."""
    pipelabs_agent = agent.load()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    awake = threading.Event()
    try:
        with pipelabs_agent.connect() as leased:
            leased.on_stop(lambda *_: awake.set())
            urls = {"api": {"rest": f"{find_stub()}/okx"}}
            exchange = leased.ccxt("okx", urls=urls, enableRateLimit=False)
            quote_until_interrupted(exchange, awake)
    except (pipelabs_agent.AgentError, ccxt.BaseError) as error:
        left = LEFT if isinstance(error, pipelabs_agent.Stopped) else ""
        raise CannotStart(f"The quoter has ended. {error}{left}") from None
    print("The quotes are cancelled, and the key is given back.", flush=True)


def find_stub() -> str:
    """Return the stub's address. The quoter trades on no other exchange."""
    stored = STUB_ADDRESS.read_text() if STUB_ADDRESS.exists() else ""
    address = os.environ.get("EXCHANGE_BASE_URL", stored)
    if not re.fullmatch(r"http://127\.0\.0\.1:\d+", address):
        raise CannotStart(NO_STUB)
    return address


def quote_until_interrupted(exchange: Any, awake: threading.Event) -> None:
    """Replace the quotes every second, and at once when something has happened to a key."""
    try:
        while True:
            print(replace_quotes(exchange), flush=True)
            awake.wait(EVERY_S - time.time() % EVERY_S)
            awake.clear()
    except KeyboardInterrupt:
        cancel_quotes(exchange)


def replace_quotes(exchange: Any) -> str:
    """Cancel the open quotes, place new ones around the mid price, and return what was done."""
    exchange.cancel_all_orders_after(CANCEL_AFTER_MS)
    cancelled = cancel_quotes(exchange)
    ticker = exchange.fetch_ticker(SYMBOL)
    mid = (ticker["bid"] + ticker["ask"]) / 2
    bid, ask = mid * (1 - HALF_SPREAD), mid * (1 + HALF_SPREAD)
    for side, price in ("buy", bid), ("sell", ask):
        exchange.create_order(SYMBOL, "limit", side, AMOUNT, price, {"postOnly": True})
    return f"{time.strftime('%H:%M:%S')}  {SYMBOL}  {bid:.1f} / {ask:.1f}  {cancelled} replaced"


def cancel_quotes(exchange: Any) -> int:
    """Cancel what is open, also what an earlier run has left, and return how many orders.

    An order that was filled or cancelled meanwhile is gone as well.
    """
    quotes = [order["id"] for order in exchange.fetch_open_orders(SYMBOL)]
    if quotes:
        with suppress(ccxt.OrderNotFound):
            exchange.cancel_orders(quotes, SYMBOL)
    return len(quotes)


if __name__ == "__main__":
    main()
