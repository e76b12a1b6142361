"""The libraries that live as long as the process, and the one place that commits."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g, request
from flask_jwt_extended import JWTManager
from flask_limiter import ApplicationLimit, Limiter
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from redis.exceptions import RedisError
from sqlalchemy import CursorResult, Executable

from pipelabs import windows
from pipelabs.models import Base

LIMITED_PATH = "/api/admin"
"""Every call below it spends one of the general budget."""
CONSOLE_PATH = "/admin"
"""Every page below it spends one of the console's budget."""


class UnitSession(FlaskSession):
    """A session that is one unit of work; the audit trail listens to its end."""


def limit_key() -> str:
    """Return whose budget is spent: the admin over all tokens, workers and instances.

    Never empty and never raising: Flask-Limiter skips a limit with an empty key, and takes any
    exception here for a dead store.
    """
    return str(g.actor.caller)


def create_limit() -> str:
    """Return the budget of client creation."""
    return str(current_app.config["RATELIMIT_CREATE"])


def _general_limit() -> str:
    return str(current_app.config["RATELIMIT_GENERAL"])


def _console_limit() -> str:
    return str(current_app.config["RATELIMIT_CONSOLE"])


def _is_unlimited() -> bool:
    return request.method == "OPTIONS" or not is_below(request.path, LIMITED_PATH)


def _is_no_page() -> bool:
    return request.method == "OPTIONS" or not is_below(request.path, CONSOLE_PATH)


def is_below(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix` or something under it."""
    return path == prefix or path.startswith(f"{prefix}/")


class FallingLimiter(Limiter):
    """Counts in memory for every call that waits while the store goes away.

    The library does so for the first one alone: it takes what the others are told for errors.
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
limiter = FallingLimiter(
    limit_key,
    application_limits=[
        ApplicationLimit(limit_provider=_general_limit, scope="general", exempt_when=_is_unlimited),
        ApplicationLimit(limit_provider=_console_limit, scope="console", exempt_when=_is_no_page),
    ],
    request_identifier=lambda: request.endpoint or "unknown",
)
limit_creates = limiter.shared_limit(create_limit, scope="create", override_defaults=False)
"""Decorates every way to create a client: they spend one budget together."""

db = SQLAlchemy(metadata=Base.metadata, session_options={"class_": UnitSession})
jwt = JWTManager()
MIGRATIONS = str(Path(__file__).parents[1] / "migrations")
migrate = Migrate(directory=MIGRATIONS, render_as_batch=False)


def run(statement: Executable, values: Mapping[str, Any]) -> CursorResult[*tuple[Any, ...]]:
    """Run a statement that knows nothing of objects in the running transaction.

    The way of a session costs twice as much: it looks for objects in what comes back. Objects
    that wait in the session are not flushed first.
    """
    return db.session.connection().execute(statement, values)


def exchange_base_url() -> str | None:
    """Return where a stand-in for every exchange listens; None in production."""
    return current_app.config["EXCHANGE_BASE_URL"] or None


def release() -> None:
    """End the running transaction, which has written nothing, before something slow is waited for.

    Its connection goes back to the pool, and objects of the session are read anew afterwards.
    """
    finish(commit=False)


def finish(*, commit: bool) -> None:
    """End the running unit of work; a commit that fails is rolled back and raised."""
    if not commit:
        db.session.rollback()
        return
    try:
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


@contextmanager
def unit_of_work() -> Iterator[None]:
    """Commit what the block did, or none of it."""
    try:
        yield
    except BaseException:
        finish(commit=False)
        raise
    finish(commit=True)


def init_app(app: Flask) -> None:
    """Bind the libraries to the application; the limiter counts whom `web` has named."""
    db.init_app(app)
    migrate.init_app(app, db)
    jwt.init_app(app)
    windows.register()
    limiter.init_app(app)
