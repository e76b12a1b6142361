"""Rate limiting: the moving window, the limiter, its budgets and the `RateLimit` headers."""

import logging
import threading
import time
from collections.abc import Sequence
from functools import cache, lru_cache
from hashlib import sha1
from typing import Any, NamedTuple, Self, cast

from flask import Flask, Request, request
from flask.globals import request_ctx
from flask_limiter import Limiter
from flask_limiter._limits import RuntimeLimit
from flask_limiter._manager import LimitManager
from limits import RateLimitItem, parse
from limits.storage.redis import RedisStorage
from limits.strategies import STRATEGIES, MovingWindowRateLimiter
from limits.util import WindowStats
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from werkzeug.exceptions import TooManyRequests

from pipelabs.core import metrics
from pipelabs.core.settings import setting
from pipelabs.web import auth, idempotency
from pipelabs.web.operation import (
    ADMIN_API_PATH,
    CONSOLE_PATH,
    MACHINE_PATH,
    Operation,
    Spent,
    current_actor,
    is_below,
    request_state,
)

logger = logging.getLogger("pipelabs")
MAX_WAIT_S = 60
CHECK_MS = 1000
BUDGETS = {
    "batch": "RATELIMIT_BATCH",
    "create": "RATELIMIT_CREATE",
    "general": "RATELIMIT_GENERAL",
    "console": "RATELIMIT_CONSOLE",
    "machine": "RATELIMIT_MACHINE",
}
"""Name of a budget in headers and responses → its setting, the smallest budget first."""
OF_MACHINES = frozenset({"machine"})
"""Budgets that no admin has."""
PATH_BUDGETS = {"general": ADMIN_API_PATH, "console": CONSOLE_PATH, "machine": MACHINE_PATH}
"""Budget → the path below which every request spends it."""
STRATEGY = "moving-window-with-stats"
SCRIPT = b"""
local now, results = tonumber(ARGV[1]), {}
for place, key in ipairs(KEYS) do
    local limit, window = tonumber(ARGV[2 * place]), tonumber(ARGV[2 * place + 1])
    local function is_inside(index)
        local at = redis.call('lindex', key, index)
        return at and tonumber(at) >= now - window
    end
    local has_room = not is_inside(limit - 1)
    if has_room then
        redis.call('lpush', key, ARGV[1])
        redis.call('ltrim', key, 0, limit - 1)
        redis.call('expire', key, window)
    end
    local low, high = 0, redis.call('llen', key)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if is_inside(middle) then low = middle + 1 else high = middle end
    end
    local oldest = low > 0 and redis.call('lindex', key, low - 1) or ARGV[1]
    results[place] = (has_room and 1 or 0) .. ',' .. low .. ',' .. oldest
    if not has_room then break end
end
return table.concat(results, ' ')
"""
"""Uses the library's own data: a list of hit times, newest first, under the library's key.

Spends one of each limit until one has no room. Returns for each whether it had room, how many hits
are inside the window, and the oldest of them: `1,3,1764150000.1 0,20,1764149990.5`. A list of
lists would take the client as long to read as all else.
"""
SCRIPT_SHA = sha1(SCRIPT, usedforsecurity=False).hexdigest().encode()


class WritableRedisStorage(RedisStorage):
    """The library's Redis storage, which is up only if it can be written."""

    STORAGE_SCHEME = RedisStorage.STORAGE_SCHEME

    def check(self) -> bool:
        """Return whether Redis accepts a write."""
        try:
            return bool(self.storage.set(self.prefixed_key("check"), 1, px=CHECK_MS))
        except RedisError as error:
            if isinstance(error, ResponseError):
                # It may be read-only since a failover. The next connections are made to the server
                # that the address leads to then.
                self.storage.connection_pool.disconnect(inuse_connections=False)
            return False


def find_redis() -> Any | None:
    """Return the client of the Redis that counts the limits, or None if memory does."""
    storage = limiter.storage
    return storage.storage if isinstance(storage, RedisStorage) else None


class Hit(NamedTuple):
    """A call to count: the limit, and what it is counted by, of which the budget is the last."""

    item: RateLimitItem
    identifiers: tuple[str, ...]

    @property
    def budget(self) -> str:
        """Return the name of the budget."""
        return self.identifiers[-1]


class MovingWindowWithStats(MovingWindowRateLimiter):
    """The library's moving window, with all limits of a request in one call of Redis.

    What is left of a limit is kept in the state of the request, because its headers report it. Each
    thread has a connection of its own: a call of the library's client takes four times as long.
    """

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self._thread = threading.local()

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Spend one of the limit, and return whether there was one to spend."""
        if isinstance(self.storage, RedisStorage):
            return self.hit_all([Hit(item, identifiers)])
        has_room = super().hit(item, *identifiers, cost=cost)
        if not has_room:
            metrics.count_limit_denial(identifiers[-1])
        stats = self.get_window_stats(item, *identifiers)
        request_state().spent[identifiers[-1]] = Spent(item, stats)
        return has_room

    def hit_all(self, hits: Sequence[Hit]) -> bool:
        """Spend one of each limit until one has none left. Return whether all had one.

        The storage must be Redis. Raise `RedisError` if it can't be written.
        """
        storage = cast(RedisStorage, self.storage)
        keys = [_key(storage, *hit) for hit in hits]
        limits = [number for hit in hits for number in _encode(hit.item)]
        now = b"%.6f" % time.time()
        results = self._run_script(storage, [b"%d" % len(keys), *keys, now, *limits])
        spent = request_state().spent
        has_room = ""
        for hit, result in zip(hits, results.split(" "), strict=False):
            has_room, inside, oldest = result.split(",")
            reset_time = float(oldest) + hit.item.get_expiry()
            stats = WindowStats(reset_time, hit.item.amount - int(inside))
            spent[hit.budget] = Spent(hit.item, stats)
            if has_room != "1":
                metrics.count_limit_denial(hit.budget)
        return has_room == "1"

    def _run_script(self, storage: RedisStorage, arguments: Sequence[bytes]) -> str:
        """Run the script on the connection of this thread.

        It is tried again if Redis has closed the connection, for example because it was restarted.
        """
        connection = getattr(self._thread, "connection", None)
        if connection is None:
            connection = storage.storage.connection_pool.make_connection()
            self._thread.connection = connection
        try:
            return _evaluate(connection, arguments)
        except RedisConnectionError:
            return _evaluate(connection, arguments)
        except ResponseError:
            # It may be read-only since a failover, and the address may lead to another server.
            connection.disconnect()
            raise


def _evaluate(connection: Any, arguments: Sequence[bytes]) -> str:
    """Return what the script returns. The connection connects by itself."""
    connection.send_command("EVALSHA", SCRIPT_SHA, *arguments)
    try:
        result: bytes = connection.read_response()
    except NoScriptError:
        connection.send_command("EVAL", SCRIPT, *arguments)
        result = connection.read_response()
    return result.decode()


@lru_cache(4096)
def _key(storage: RedisStorage, item: RateLimitItem, identifiers: tuple[str, ...]) -> bytes:
    """Return the library's key for a limit of one caller."""
    return storage.prefixed_key(item.key_for(*identifiers)).encode()


@cache
def _encode(item: RateLimitItem) -> tuple[bytes, bytes]:
    """Return a limit's amount and its window in seconds as the script takes them."""
    return b"%d" % item.amount, b"%d" % item.get_expiry()


def limit_key() -> str:
    """Return the caller whose budget is spent: one per admin, whatever the token or worker.

    It must never be empty or raise. Flask-Limiter skips a limit with an empty key, and treats any
    exception here as a store failure.
    """
    return current_actor().caller


class BudgetManager(LimitManager):
    """Tells the library which limits a request spends."""

    def resolve_limits(self, *_: object) -> tuple[list[RuntimeLimit], ...]:
        """Return no default limits, and those of the request's budgets.

        Default limits would be counted at the first try only.
        """
        limits = [RuntimeLimit(hit.item, limit_key, hit.budget, shared=True) for hit in _hits()]
        return [], limits


class BudgetLimiter(Limiter):
    """Spends all budgets of a request in one call of Redis.

    The library would make a call for each. It still counts in memory while Redis can't be written,
    and finds out when it can again.
    """

    @property
    def counts_in_memory(self) -> bool:
        """Return whether this process counts in its own memory, for lack of Redis."""
        return self._storage_dead or not isinstance(self.storage, RedisStorage)

    def _check_request_limit(
        self,
        callable_name: str | None = None,
        in_middleware: bool = True,  # noqa: FBT001, FBT002 - the library's own signature
    ) -> None:
        window = self.limiter
        if isinstance(window.storage, RedisStorage):
            try:
                self._spend(cast(MovingWindowWithStats, window), _hits())
            except RedisError:
                logger.warning("rate limits are counted in memory: Redis can't be written")
                self._storage_dead = True
            else:
                return
        try:
            super()._check_request_limit(callable_name, in_middleware)
        except RedisError:
            # It recovered and failed again. The library handles that in the first thread only.
            self._storage_dead = True
            super()._check_request_limit(callable_name, in_middleware)

    @staticmethod
    def _spend(window: MovingWindowWithStats, hits: Sequence[Hit]) -> None:
        if hits and not window.hit_all(hits):
            raise TooManyRequests


# Unknown paths and methods have no endpoint. Without an identifier they would not be counted.
limiter = BudgetLimiter(limit_key, request_identifier=lambda: request.endpoint or "unknown")
limiter.limit_manager = BudgetManager([], [], {}, {}, {}, {})


def _hits() -> list[Hit]:
    """Return what the request spends. The budget of its path comes first.

    A call without permission spends no create, and nor does a repetition, which creates nothing.
    """
    incoming: Request = request_ctx.request
    state = request_state()
    names, operation = _path_budgets(incoming.path), state.operation
    if operation and operation.budget and _is_carried_out(operation):
        names.append(operation.budget)
    caller = state.actor.caller
    return [Hit(_parse(setting(BUDGETS[name])), (caller, name)) for name in names]


def _is_carried_out(operation: Operation) -> bool:
    if not auth.is_permitted(operation):
        return False
    has_key = operation.is_idempotent and idempotency.HEADER in request_ctx.request.headers
    return not (has_key and idempotency.is_replay())


class Budget(NamedTuple):
    """The remaining calls of a budget, and the seconds until its oldest call leaves the window."""

    name: str
    item: RateLimitItem
    remaining: int
    wait_s: int

    @classmethod
    def of(cls, name: str, item: RateLimitItem, stats: WindowStats) -> Self:
        """Round the wait up, so that the oldest call has left the window for certain."""
        return cls(name, item, stats.remaining, max(1, int(stats.reset_time - time.time()) + 1))

    def as_dict(self) -> dict[str, int]:
        """Return the budget as JSON."""
        return {
            "limit": self.item.amount,
            "remaining": self.remaining,
            "window_s": self.item.get_expiry(),
            "reset_s": self.wait_s if self.remaining < self.item.amount else 0,
        }


def init_app(app: Flask) -> None:
    """Register the limiter. It must run after the caller is identified."""
    STRATEGIES[STRATEGY] = MovingWindowWithStats
    limiter.init_app(app)
    # What the library does after a request is for its own headers and conditional limits.
    app.after_request_funcs[None].pop()
    app.teardown_request_funcs[None].pop()


def header_fields() -> list[tuple[str, str]]:
    """Return the IETF draft's `RateLimit` headers for every budget that this request spent.

    The common `X-RateLimit-*` headers describe the budget with the fewest calls left.
    """
    budgets = _spent_budgets()
    if not budgets:
        return []
    tightest = min(budgets, key=lambda budget: budget.remaining)
    policies = [
        f'"{budget.name}";q={budget.item.amount};w={budget.item.get_expiry()}' for budget in budgets
    ]
    left = [f'"{budget.name}";r={budget.remaining};t={budget.wait_s}' for budget in budgets]
    return [
        ("RateLimit-Policy", ", ".join(policies)),
        ("RateLimit", ", ".join(left)),
        ("X-RateLimit-Limit", str(tightest.item.amount)),
        ("X-RateLimit-Remaining", str(tightest.remaining)),
        ("X-RateLimit-Reset", str(int(time.time()) + tightest.wait_s)),
    ]


def retry_after_s() -> int:
    """Return the seconds until every exhausted budget allows a call again, 1 to 60."""
    waits = [budget.wait_s for budget in _spent_budgets() if not budget.remaining]
    return min(max(waits, default=1), MAX_WAIT_S)


def quota() -> dict[str, dict[str, int]]:
    """Return the remaining calls of each of the actor's budgets, of which the request spent none.

    Empty if the store has just failed and the limiter has not switched to memory yet.
    """
    try:
        return {name: _budget(name).as_dict() for name in BUDGETS if name not in OF_MACHINES}
    except RedisError:
        return {}


def budgets_of(operation: Operation, path: str) -> list[str]:
    """Return the names of the budgets that a call of the operation spends, smallest first."""
    spent = {*_path_budgets(path), operation.budget}
    return [budget for budget in BUDGETS if budget in spent]


def describe_budget(name: str) -> str:
    """Return the limit and the window of a budget in words."""
    item = _item(name)
    return f"{item.amount} in {item.get_expiry()} s"


def _spent_budgets() -> list[Budget]:
    """Return the budgets that this request has spent, smallest first."""
    spent = request_state().spent
    return [Budget.of(name, *spent[name]) for name in BUDGETS if name in spent]


def _path_budgets(path: str) -> list[str]:
    """Return the budgets that every request to the path spends."""
    return [name for name, prefix in PATH_BUDGETS.items() if is_below(path, prefix)]


def _budget(name: str) -> Budget:
    """Return a budget of the actor."""
    item = _item(name)
    return Budget.of(name, item, limiter.limiter.get_window_stats(item, limit_key(), name))


def _item(name: str) -> RateLimitItem:
    return _parse(setting(BUDGETS[name]))


_parse = cache(parse)
