"""The orders of all keys, in memory. Nothing trades: an order is open until it is cancelled."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import count


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
    """Open orders by api key. Its methods may be called by any thread."""

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
        """Return a key's open orders by their ids, oldest first."""
        with self._lock:
            self._apply_deadline(api_key)
            return dict(self._open[api_key])

    def place(self, api_key: str, order: Order) -> str:
        """Accept an order and return its id."""
        with self._lock:
            self._apply_deadline(api_key)
            order_id = str(next(self._ids))
            self._open[api_key][order_id] = order
            self.accepted[api_key] += 1
            return order_id

    def reject(self, api_key: str) -> None:
        """Count a rejection."""
        with self._lock:
            self.rejected[api_key] += 1

    def cancel(self, api_key: str, order_id: str) -> bool:
        """Cancel an order, and return whether it was open."""
        with self._lock:
            self._apply_deadline(api_key)
            return self._open[api_key].pop(order_id, None) is not None

    def cancel_after(self, api_key: str, seconds: float) -> None:
        """Cancel all orders of a key after some time, unless called again; 0 means never."""
        with self._lock:
            self._apply_deadline(api_key)
            self._deadlines.pop(api_key, None)
            if seconds:
                self._deadlines[api_key] = self._clock() + seconds

    def _apply_deadline(self, api_key: str) -> None:
        if self._clock() >= self._deadlines.get(api_key, float("inf")):
            self._open[api_key].clear()
            del self._deadlines[api_key]
