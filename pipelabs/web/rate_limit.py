"""Rate limiting: the limiter, its budgets, and what callers are told about them."""

import time
from typing import NamedTuple

from flask import Flask, Response, current_app, request
from flask_limiter import ApplicationLimit, Limiter
from limits import RateLimitItem, parse
from redis.exceptions import RedisError

from pipelabs.core import redis_window
from pipelabs.web.operation import Operation
from pipelabs.web.paths import ADMIN_API_PATH, CONSOLE_PATH, is_below
from pipelabs.web.state import current_actor, request_state

MAX_WAIT_S = 60
BUDGETS = {
    "create": "RATELIMIT_CREATE",
    "general": "RATELIMIT_GENERAL",
    "console": "RATELIMIT_CONSOLE",
}
"""Name of a budget in headers and answers → its setting; the tightest first."""


def limit_key() -> str:
    """Return whose budget is spent: the admin over all tokens, workers and instances.

    Never empty and never raising: Flask-Limiter skips a limit with an empty key, and takes any
    exception here for a dead store.
    """
    return current_actor().caller


def create_limit() -> str:
    """Return the budget of client creation."""
    return str(current_app.config["RATELIMIT_CREATE"])


def _general_limit() -> str:
    return str(current_app.config["RATELIMIT_GENERAL"])


def _console_limit() -> str:
    return str(current_app.config["RATELIMIT_CONSOLE"])


def _is_unlimited() -> bool:
    return request.method == "OPTIONS" or not is_below(request.path, ADMIN_API_PATH)


def _is_no_page() -> bool:
    return request.method == "OPTIONS" or not is_below(request.path, CONSOLE_PATH)


class FallbackLimiter(Limiter):
    """Counts in memory for every call that is waiting while the store goes away.

    The library does so for the first one only and raises the store's errors for the others.
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


# Unknown paths and methods have no endpoint; without a name for them they would spend nothing.
limiter = FallbackLimiter(
    limit_key,
    application_limits=[
        ApplicationLimit(limit_provider=_general_limit, scope="general", exempt_when=_is_unlimited),
        ApplicationLimit(limit_provider=_console_limit, scope="console", exempt_when=_is_no_page),
    ],
    request_identifier=lambda: request.endpoint or "unknown",
)
limit_creates = limiter.shared_limit(create_limit, scope="create", override_defaults=False)
"""Decorates every way to create a client: they spend one budget together."""


class Budget(NamedTuple):
    """What is left of one budget, and in how many seconds its oldest use is forgotten."""

    name: str
    item: RateLimitItem
    remaining: int
    wait_s: int

    def as_dict(self) -> dict[str, int]:
        """Return the budget as JSON shows it."""
        return {
            "limit": self.item.amount,
            "remaining": self.remaining,
            "window_s": self.item.get_expiry(),
            "reset_s": self.wait_s if self.remaining < self.item.amount else 0,
        }


def init_app(app: Flask) -> None:
    """Bind the limiter; it counts the caller that `web` has identified."""
    redis_window.register(lambda: request_state().budgets)
    limiter.init_app(app)


def add_headers(response: Response) -> None:
    """Add the draft's `RateLimit` fields for every budget that this request took from.

    `X-RateLimit-*`, which custom knows, tell of the tightest. A store that has just gone away
    leaves all of them out.
    """
    try:
        budgets = [_budget(name) for name in _spent()]
    except RedisError:
        return
    if not budgets:
        return
    response.headers["RateLimit-Policy"] = ", ".join(
        f'"{one.name}";q={one.item.amount};w={one.item.get_expiry()}' for one in budgets
    )
    response.headers["RateLimit"] = ", ".join(
        f'"{one.name}";r={one.remaining};t={one.wait_s}' for one in budgets
    )
    tightest = min(budgets, key=lambda one: one.remaining)
    response.headers["X-RateLimit-Limit"] = str(tightest.item.amount)
    response.headers["X-RateLimit-Remaining"] = str(tightest.remaining)
    response.headers["X-RateLimit-Reset"] = str(int(time.time()) + tightest.wait_s)


def retry_after_s() -> int:
    """Return in how many seconds every budget that is used up has room again, 1 to 60."""
    try:
        waits = [one.wait_s for one in map(_budget, _spent()) if not one.remaining]
    except RedisError:
        return MAX_WAIT_S
    return min(max(waits, default=1), MAX_WAIT_S)


def quota() -> dict[str, dict[str, int]]:
    """Return what is left of each of the actor's budgets; asking spends nothing.

    Nothing is known for as long as it takes to notice that the store has gone away.
    """
    try:
        return {name: _budget(name).as_dict() for name in BUDGETS}
    except RedisError:
        return {}


def spent_by(operation: Operation, path: str) -> list[str]:
    """Return the budgets that each call of the operation at this path spends, tightest first."""
    spent = _by_path(path) | ({operation.budget} if operation.budget else set())
    return [budget for budget in BUDGETS if budget in spent]


def wording(name: str) -> str:
    """Return a budget in words: how much it holds, in which time."""
    item = parse(current_app.config[BUDGETS[name]])
    return f"{item.amount} in {item.get_expiry()} s"


def _spent() -> list[str]:
    """Return the budgets this request took from; the limiter itself remembers the last alone."""
    last = {one.request_args[-1] for one in limiter.current_limits}
    return [name for name in BUDGETS if name in last | _by_path(request.path)] if last else []


def _by_path(path: str) -> set[str]:
    """Return the budget that a path spends from, whatever the view."""
    paths = {"general": ADMIN_API_PATH, "console": CONSOLE_PATH}
    return {name for name, prefix in paths.items() if is_below(path, prefix)}


def _budget(name: str) -> Budget:
    item = parse(current_app.config[BUDGETS[name]])
    reset_time, remaining = limiter.limiter.get_window_stats(item, current_actor().caller, name)
    # One second more than the whole ones: after it the oldest use is forgotten for certain.
    return Budget(name, item, remaining, max(1, int(reset_time - time.time()) + 1))
