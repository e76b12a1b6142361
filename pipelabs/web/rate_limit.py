"""Rate limiting: the moving window, the limiter, its budgets and the `RateLimit` headers."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Flask, Response, current_app, request
from flask_limiter import ApplicationLimit, Limiter
from limits import RateLimitItem, parse
from limits.storage.redis import RedisStorage
from limits.strategies import STRATEGIES, MovingWindowRateLimiter
from limits.util import WindowStats
from redis.exceptions import RedisError, ResponseError

from pipelabs.web.operation import (
    ADMIN_API_PATH,
    CONSOLE_PATH,
    Operation,
    current_actor,
    is_below,
    request_state,
)

MAX_WAIT_S = 60
CHECK_MS = 1000
BUDGETS = {
    "batch": "RATELIMIT_BATCH",
    "create": "RATELIMIT_CREATE",
    "general": "RATELIMIT_GENERAL",
    "console": "RATELIMIT_CONSOLE",
}
"""Name of a budget in headers and responses → its setting, the smallest budget first."""
STRATEGY = "moving-window-with-stats"
HIT_SCRIPT = """
local now, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function is_inside(index)
    local at = redis.call('lindex', KEYS[1], index)
    return at and tonumber(at) >= now - window
end
local has_room = not is_inside(limit - 1)
if has_room then
    redis.call('lpush', KEYS[1], ARGV[1])
    redis.call('ltrim', KEYS[1], 0, limit - 1)
    redis.call('expire', KEYS[1], window)
end
local low, high = 0, redis.call('llen', KEYS[1])
while low < high do
    local middle = math.floor((low + high) / 2)
    if is_inside(middle) then low = middle + 1 else high = middle end
end
return {has_room and 1 or 0, low, low > 0 and redis.call('lindex', KEYS[1], low - 1) or ARGV[1]}
"""
"""Uses the library's own data: a list of hit times, newest first, under the library's key.

Returns whether the hit was allowed, how many hits are inside the window, and the oldest of them.
"""


class WritableRedisStorage(RedisStorage):
    """The library's Redis storage, which is up only if it can be written."""

    STORAGE_SCHEME = RedisStorage.STORAGE_SCHEME

    def check(self) -> bool:
        """Return whether Redis accepts a write."""
        try:
            return bool(self.storage.set(self.prefixed_key("check"), 1, px=CHECK_MS))
        except RedisError as error:
            _reconnect(self, error)
            return False


class MovingWindowWithStats(MovingWindowRateLimiter):
    """The library's moving window with one Redis call a hit, where the library makes two.

    The remaining quota of a hit is kept in the request's state, because every response reports it
    in its headers.
    """

    _script: Callable[[list[str], list[float]], list[bytes]] | None = None

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Spend one of the limit, and return whether there was one to spend."""
        if not isinstance(self.storage, RedisStorage):
            return super().hit(item, *identifiers, cost=cost)
        has_room, inside, oldest = self._count(self.storage, item, item.key_for(*identifiers))
        stats = WindowStats(float(oldest) + item.get_expiry(), item.amount - int(inside))
        request_state().budgets[identifiers] = stats
        return bool(has_room)

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the oldest hit leaves the window, and how many hits are left."""
        stats = request_state().budgets.get(identifiers)
        return stats or super().get_window_stats(item, *identifiers)

    def _count(self, storage: RedisStorage, item: RateLimitItem, name: str) -> list[bytes]:
        if self._script is None:
            self._script = storage.get_connection().register_script(HIT_SCRIPT.encode())
        key = storage.prefixed_key(name)
        try:
            return self._script([key], [time.time(), item.amount, item.get_expiry()])
        except RedisError as error:
            _reconnect(storage, error)
            raise


def _reconnect(storage: RedisStorage, error: RedisError) -> None:
    """Close the connections if Redis answered with an error: it may be read-only since a failover.

    The next ones are made to the server that the address leads to then.
    """
    if isinstance(error, ResponseError):
        storage.storage.connection_pool.disconnect(inuse_connections=False)


def limit_key() -> str:
    """Return the caller whose budget is spent: one per admin, whatever the token or worker.

    It must never be empty or raise. Flask-Limiter skips a limit with an empty key, and treats any
    exception here as a store failure.
    """
    return current_actor().caller


def _create_limit() -> str:
    return str(current_app.config["RATELIMIT_CREATE"])


def _batch_limit() -> str:
    return str(current_app.config["RATELIMIT_BATCH"])


def _general_limit() -> str:
    return str(current_app.config["RATELIMIT_GENERAL"])


def _console_limit() -> str:
    return str(current_app.config["RATELIMIT_CONSOLE"])


def _is_outside_admin_api() -> bool:
    return request.method == "OPTIONS" or not is_below(request.path, ADMIN_API_PATH)


def _is_outside_console() -> bool:
    return request.method == "OPTIONS" or not is_below(request.path, CONSOLE_PATH)


class FallbackLimiter(Limiter):
    """Falls back to memory for every concurrent request when the store fails.

    The library does so for the first request only and raises the store's error for the others.
    """

    def _check_request_limit(
        self,
        callable_name: str | None = None,
        in_middleware: bool = True,  # noqa: FBT001, FBT002 - the library's own signature
    ) -> None:
        try:
            super()._check_request_limit(callable_name, in_middleware)
        except RedisError:
            self.context.seen_limits.clear()
            super()._check_request_limit(callable_name, in_middleware)


# Unknown paths and methods have no endpoint. Without an identifier they would not be counted.
limiter = FallbackLimiter(
    limit_key,
    application_limits=[
        ApplicationLimit(
            limit_provider=_general_limit, scope="general", exempt_when=_is_outside_admin_api
        ),
        ApplicationLimit(
            limit_provider=_console_limit, scope="console", exempt_when=_is_outside_console
        ),
    ],
    request_identifier=lambda: request.endpoint or "unknown",
)
LIMITS: Mapping[str, Callable[..., Any]] = {
    "create": limiter.shared_limit(_create_limit, scope="create", override_defaults=False),
    "batch": limiter.shared_limit(_batch_limit, scope="batch", override_defaults=False),
}
"""Budget → decorator of the operations that spend it, all from the same one."""


class Budget(NamedTuple):
    """The remaining calls of a budget, and the seconds until its oldest call leaves the window."""

    name: str
    item: RateLimitItem
    remaining: int
    wait_s: int

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


def add_headers(response: Response) -> None:
    """Add the IETF draft's `RateLimit` headers for every budget that this request spent.

    The common `X-RateLimit-*` headers describe the budget with the fewest calls left. If the store
    has just failed, no header is added.
    """
    try:
        budgets = [_budget(name) for name in _spent_budgets()]
    except RedisError:
        return
    if not budgets:
        return
    response.headers["RateLimit-Policy"] = ", ".join(
        f'"{budget.name}";q={budget.item.amount};w={budget.item.get_expiry()}' for budget in budgets
    )
    response.headers["RateLimit"] = ", ".join(
        f'"{budget.name}";r={budget.remaining};t={budget.wait_s}' for budget in budgets
    )
    tightest = min(budgets, key=lambda budget: budget.remaining)
    response.headers["X-RateLimit-Limit"] = str(tightest.item.amount)
    response.headers["X-RateLimit-Remaining"] = str(tightest.remaining)
    response.headers["X-RateLimit-Reset"] = str(int(time.time()) + tightest.wait_s)


def retry_after_s() -> int:
    """Return the seconds until every exhausted budget allows a call again, 1 to 60."""
    try:
        budgets = map(_budget, _spent_budgets())
        waits = [budget.wait_s for budget in budgets if not budget.remaining]
    except RedisError:
        return MAX_WAIT_S
    return min(max(waits, default=1), MAX_WAIT_S)


def quota() -> dict[str, dict[str, int]]:
    """Return the remaining calls of each of the actor's budgets without spending any.

    Empty if the store has just failed and the limiter has not switched to memory yet.
    """
    try:
        return {name: _budget(name).as_dict() for name in BUDGETS}
    except RedisError:
        return {}


def budgets_of(operation: Operation, path: str) -> list[str]:
    """Return the names of the budgets that a call of the operation spends, smallest first."""
    spent = _path_budgets(path) | ({operation.budget} if operation.budget else set())
    return [budget for budget in BUDGETS if budget in spent]


def describe_budget(name: str) -> str:
    """Return the limit and the window of a budget in words."""
    item = parse(current_app.config[BUDGETS[name]])
    return f"{item.amount} in {item.get_expiry()} s"


def _spent_budgets() -> list[str]:
    """Return the budgets this request spent. The limiter itself knows only the last one."""
    last = {limit.request_args[-1] for limit in limiter.current_limits}
    return [name for name in BUDGETS if name in last | _path_budgets(request.path)] if last else []


def _path_budgets(path: str) -> set[str]:
    """Return the budgets that every request to the path spends."""
    prefixes = {"general": ADMIN_API_PATH, "console": CONSOLE_PATH}
    return {name for name, prefix in prefixes.items() if is_below(path, prefix)}


def _budget(name: str) -> Budget:
    item = parse(current_app.config[BUDGETS[name]])
    reset_time, remaining = limiter.limiter.get_window_stats(item, current_actor().caller, name)
    # Rounded up, so that the oldest call has left the window for certain.
    return Budget(name, item, remaining, max(1, int(reset_time - time.time()) + 1))
