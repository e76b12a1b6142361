"""Database sessions and units of work; the only module that commits.

It sets the time-outs of new connections, drops those that can no longer write, and logs slow
statements and an exhausted connection pool.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import CursorResult, Engine, Executable, Pool, QueuePool, Result, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.orm import ORMExecuteState

from pipelabs.models import Base

logger = logging.getLogger("pipelabs.database")
POOL_WARNING_INTERVAL_S = 10
"""How often an exhausted pool is logged. It would be logged at every request otherwise."""


CONFIGURE = """
SELECT set_config(name, value, false)
FROM (VALUES
    ('statement_timeout', '5000'),
    ('lock_timeout', '3000'),
    ('idle_in_transaction_session_timeout', '15000'),
    ('TimeZone', 'UTC')
) AS ours (name, value) JOIN pg_settings USING (name)
WHERE source <> 'client'
"""
"""Sets the time-outs of a new connection, in milliseconds, unless its URL does.

This is done after connecting, because PgBouncer rejects start-up options or ignores them.
"""
LOST_STATES = frozenset({"25006", "25P03", "57P01", "57P02", "57P03", "57P05"})
"""The server can't write, has ended the session, or is stopping: a switchover or a restart."""
CONNECTION_CLASS = "08"
"""SQLSTATEs of a lost connection, also those that PgBouncer sends."""


class AuditedSession(FlaskSession):
    """The session class that the audit outbox subscribes to."""


BulkUpdate = Callable[[ORMExecuteState], Result[Any]]
_bulk_updates: dict[type[Base], BulkUpdate] = {}


db = SQLAlchemy(metadata=Base.metadata, session_options={"class_": AuditedSession})
MIGRATIONS = str(Path(__file__).parents[2] / "migrations")
migrate = Migrate(directory=MIGRATIONS, render_as_batch=False)


def on_bulk_update(model: type[Base]) -> Callable[[BulkUpdate], BulkUpdate]:
    """Let the decorated function execute the ORM's bulk updates of a model.

    They don't load the rows, so events of rows do not notice them.
    """

    def register(function: BulkUpdate) -> BulkUpdate:
        _bulk_updates[model] = function
        return function

    return register


@event.listens_for(AuditedSession, "do_orm_execute")
def _execute_bulk_update(state: ORMExecuteState) -> Result[Any] | None:
    if not state.is_update or not state.bind_mapper:
        return None
    function = _bulk_updates.get(state.bind_mapper.class_)
    return function(state) if function else None


def run(statement: Executable, values: Mapping[str, Any]) -> CursorResult[*tuple[Any, ...]]:
    """Run a Core statement in the current transaction.

    It costs half of `session.execute`, which looks for ORM objects in the result. Pending objects
    of the session are not flushed first.
    """
    return db.session.connection().execute(statement, values)


def release() -> None:
    """End the current transaction, which has written nothing, before a slow call.

    The connection returns to the pool. Objects of the session are reloaded when next used.
    """
    finish(commit=False)


def finish(*, commit: bool) -> None:
    """Commit or roll back the current unit of work. Roll back and re-raise a failed commit."""
    if not commit or not db.session().in_transaction():
        db.session.rollback()
        return
    try:
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


@contextmanager
def unit_of_work() -> Iterator[None]:
    """Commit what the block did, or roll all of it back if it raises."""
    try:
        yield
    except BaseException:
        finish(commit=False)
        raise
    finish(commit=True)


def init_app(app: Flask) -> None:
    """Bind the database and its migrations to the application, and watch its connections."""
    db.init_app(app)
    migrate.init_app(app, db)
    with app.app_context():
        engine = db.engine
    _configure_connections(engine)
    _drop_lost_connections(engine)
    _watch_statements(engine, app.config["SLOW_QUERY_MS"])
    _watch_pool(engine.pool)


def _configure_connections(engine: Engine) -> None:
    """Set the time-outs of each new connection."""

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        # In a transaction, a rollback would undo them.
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(CONFIGURE)
        connection.autocommit = False


def _drop_lost_connections(engine: Engine) -> None:
    """Replace all connections after an error that says that the server can't be written.

    After a switchover, connections to the old primary are alive and read-only.
    """

    @event.listens_for(engine, "handle_error")
    def _drop(context: ExceptionContext) -> None:
        state = getattr(context.original_exception, "pgcode", None) or ""
        if state in LOST_STATES or state.startswith(CONNECTION_CLASS):
            context.is_disconnect = True


def _watch_statements(engine: Engine, slow_ms: int) -> None:
    """Log statements that took longer than `slow_ms`, without their parameters."""

    @event.listens_for(engine, "before_cursor_execute")
    def _start(connection: Any, *_: object) -> None:
        connection.info["started"] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def _end(connection: Any, _cursor: object, statement: str, *_: object) -> None:
        ms = (time.perf_counter() - connection.info["started"]) * 1000
        if ms >= slow_ms:
            logger.warning("slow statement", extra={"ms": round(ms, 1), "statement": statement})


def _watch_pool(pool: Pool) -> None:
    """Log how many connections are in use when the pool is exhausted."""
    last_logged = 0.0

    @event.listens_for(pool, "checkout")
    def _checkout(*_: object) -> None:
        nonlocal last_logged
        if not isinstance(pool, QueuePool) or pool.checkedout() < pool.size():
            return
        if time.monotonic() - last_logged > POOL_WARNING_INTERVAL_S:
            last_logged = time.monotonic()
            facts = {"in_use": pool.checkedout(), "size": pool.size()}
            logger.warning("connection pool exhausted", extra=facts)
