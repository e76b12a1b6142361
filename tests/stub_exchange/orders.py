"""The orders of all accounts, in memory. Nothing trades: an order is open until it is cancelled."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count

from tests.stub_exchange.accounts import find_account


@dataclass(frozen=True)
class Order:
    """An order as its key has sent it. `symbol` and `kind` are the exchange's own words."""

    symbol: str
    side: str
    kind: str
    price: Decimal
    size: Decimal
    client_id: str
    created_at_ms: int


class Orders:
    """Open orders by account. Its methods may be called by any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self.accepted: Counter[str] = Counter()
        """Api key → orders that were accepted."""
        self.rejected: Counter[str] = Counter()
        """Api key → orders that were invalid, and requests to trade that were not allowed."""
        self._clock = clock
        self._lock = threading.Lock()
        self._ids = count(1)
        self._open: defaultdict[str, dict[str, Order]] = defaultdict(dict)
        self._deadlines: dict[str, float] = {}

    def list_open(self, api_key: str) -> dict[str, Order]:
        """Return the open orders of a key's account by their ids, oldest first."""
        with self._turn(api_key) as account:
            return dict(self._open[account])

    def place(self, api_key: str, order: Order) -> str:
        """Accept an order and return its id."""
        with self._turn(api_key) as account:
            order_id = str(next(self._ids))
            self._open[account][order_id] = order
            self.accepted[api_key] += 1
            return order_id

    def reject(self, api_key: str) -> None:
        """Count a rejection."""
        with self._lock:
            self.rejected[api_key] += 1

    def cancel(self, api_key: str, order_id: str) -> bool:
        """Cancel an order, and return whether it was open."""
        with self._turn(api_key) as account:
            return self._open[account].pop(order_id, None) is not None

    def cancel_after(self, api_key: str, seconds: float) -> None:
        """Cancel all orders of an account after some time, unless called again; 0 means never."""
        with self._turn(api_key) as account:
            self._deadlines.pop(account, None)
            if seconds:
                self._deadlines[account] = self._clock() + seconds

    @contextmanager
    def _turn(self, api_key: str) -> Iterator[str]:
        """Lock the orders, cancel those of the key's account that are due, and yield its name."""
        account = find_account(api_key)
        with self._lock:
            if self._clock() >= self._deadlines.get(account, float("inf")):
                self._open[account].clear()
                del self._deadlines[account]
            yield account
