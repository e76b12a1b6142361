"""Connections to PostgreSQL: when their transactions begin and end, their time-outs, their loss.

psycopg2 would send BEGIN by itself before the first statement of a request. Here a connection
commits by itself: reading needs no transaction, and BEGIN goes out with the first statement that
does. At READ COMMITTED, a statement sees the same in a transaction as outside of one.
"""

import logging
import re
import select
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import (
    POLL_OK,
    POLL_READ,
    TRANSACTION_STATUS_INERROR,
    TRANSACTION_STATUS_INTRANS,
    set_wait_callback,
)
from psycopg2.extensions import connection as DriverConnection  # noqa: N812 - a class
from sqlalchemy import Connection, Engine, Pool, PoolProxiedConnection, QueuePool, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.sql.expression import SelectBase

from pipelabs.core import metrics

logger = logging.getLogger("pipelabs.database")
POOL_WARNING_INTERVAL_S = 10
"""How often an exhausted pool is logged. It would be logged at every request otherwise."""
CONFIGURE = """
SELECT pg_backend_pid(), count(set_config(name, value, false))
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
TIMEOUT_S = 6.0
"""Longer than `statement_timeout` (5 s), so it only fires when the server's timeouts do not."""
LOST_STATES = frozenset({"25006", "25P03", "26000", "57P01", "57P02", "57P03", "57P05"})
"""The server can't write, has ended the session, is stopping, or has forgotten a prepared
statement: a switchover, a restart, or a pooler that has reset the session."""
CONNECTION_CLASS = "08"
"""SQLSTATEs of a lost connection, also those that PgBouncer sends."""
CAN_PREPARE = "pipelabs.can_prepare"
"""Key in `Connection.info`: whether the next statement reaches the same process of the server."""
IS_OPEN = "pipelabs.transaction_is_open"
"""Key in `Connection.info`: whether BEGIN was sent. Absent outside of a unit of work."""
STARTED = "pipelabs.started"
"""Key in `Connection.info`: when the last statement was sent."""
WITH_COMMIT = "pipelabs.with_commit"
"""Key in `Connection.info`: the statement to send together with the COMMIT."""
ONCE = (False,)
"""The last argument of SQLAlchemy's events: not once for each of several sets of values."""
UNFINISHED = {TRANSACTION_STATUS_INTRANS, TRANSACTION_STATUS_INERROR}
NEEDS_TRANSACTION = re.compile(
    r"\b(?:INSERT|UPDATE|DELETE|MERGE|SHARE)\b|\b(?:pg_\w+|nextval|setval|set_config)\("
)
"""In a query: it writes, locks, or calls what lasts until the end of a transaction."""

Values = Mapping[str, Any]


class TimedPool(QueuePool):
    """A pool that times how long it takes to get a connection, also in vain."""

    # SQLAlchemy names the pool's logger by it. Ours would log each disposal.
    __module__ = QueuePool.__module__

    def connect(self) -> PoolProxiedConnection:
        """Return a connection."""
        started = time.perf_counter()
        try:
            return super().connect()
        finally:
            metrics.pool_waits.append(time.perf_counter() - started)


class NoAnswer(psycopg2.OperationalError):
    """PostgreSQL did not answer in time. Asking again would take as long."""


class WithCommit(NamedTuple):
    """A statement to send together with the COMMIT, and what returns the error if it fails."""

    text: str
    values: Values
    failure: Callable[[], Exception]


def send(
    connection: Connection, text: str, values: Values | None = None, *, reads: bool = False
) -> Sequence[Any]:
    """Send a statement as the driver takes it, and return its rows.

    This takes a third of the time that SQLAlchemy takes for it. `reads` says that the statement
    needs no transaction. Raise SQLAlchemy's `DBAPIError`.
    """
    if not reads and not connection.info[IS_OPEN]:
        connection.info[IS_OPEN] = True
        text = f"BEGIN; {text}"
    # Those who listen to the engine's statements hear of this one, too.
    heard = connection.engine.dispatch
    try:
        cursor: Any = connection.connection.cursor()
        for hear in heard.before_cursor_execute:
            text, values = hear(connection, cursor, text, values, None, *ONCE)
        cursor.execute(text, values)
        rows = cursor.fetchall() if cursor.description else []
        heard.after_cursor_execute(connection, cursor, text, values, None, *ONCE)
        cursor.close()
    except psycopg2.Error as error:
        raise _wrap(error, connection, text) from error
    return rows


def send_with_commit(
    connection: Connection, text: str, values: Values, failure: Callable[[], Exception]
) -> None:
    """Send a statement together with the COMMIT, which raises what `failure` returns if it fails.

    One that waits for the COMMIT already is sent now.
    """
    send_waiting(connection)
    connection.info[WITH_COMMIT] = WithCommit(text, values, failure)


def send_waiting(connection: Connection, end: str = "") -> None:
    """Send the statement that waits for the COMMIT, if there is one, and what follows it.

    PostgreSQL runs what follows only if the statement succeeds.
    """
    waiting = connection.info.pop(WITH_COMMIT, None)
    if waiting is None:
        return
    try:
        send(connection, waiting.text + end, waiting.values)
    except DBAPIError as error:
        if not error.connection_invalidated and _is_failed(connection):
            raise waiting.failure() from error
        # The COMMIT itself failed, or it is not known whether PostgreSQL has committed.
        raise


def _is_failed(connection: Connection) -> bool:
    """Return whether a statement of the transaction failed, so that only ROLLBACK is left."""
    status: int = connection.connection.get_transaction_status()
    return status == TRANSACTION_STATUS_INERROR


def _wrap(error: psycopg2.Error, connection: Connection, text: str) -> Exception:
    """Return SQLAlchemy's exception. Replace the connections if the server was lost."""
    dialect: Any = connection.dialect
    is_lost = _is_lost(error) or dialect.is_disconnect(error, connection.connection, None)
    if is_lost:
        connection.invalidate(error)
        connection.engine.dispose()
    return DBAPIError.instance(
        text, None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=is_lost
    )


def _is_lost(error: BaseException) -> bool:
    """Return whether an error says that the server can't be written through this connection.

    After a switchover, connections to the old primary are alive and read-only.
    """
    state = getattr(error, "pgcode", None) or ""
    return state in LOST_STATES or state.startswith(CONNECTION_CLASS)


def watch(engine: Engine, slow_ms: int) -> None:
    """Register all handlers below. `slow_ms` is when a statement is logged as slow."""
    _configure_connections(engine)
    _begin_when_needed(engine)
    _commit_what_began(engine)
    _roll_back_what_began(engine)
    _drop_lost_connections(engine)
    _time_statements(engine, slow_ms)
    _look_before_use(engine.pool)


def _configure_connections(engine: Engine) -> None:
    """Set the time-outs of each new connection, and note whether it can have prepared statements.

    A pooler hands out another process at each transaction, which has not prepared them. It tells
    its clients another process id than the server's.
    """

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, record: Any) -> None:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(CONFIGURE)
            process, _ = cursor.fetchone()
        record.info[CAN_PREPARE] = process == connection.info.backend_pid


def _begin_when_needed(engine: Engine) -> None:
    """Send BEGIN with the first statement of a unit of work that needs a transaction."""

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.info[IS_OPEN] = False

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def _start(
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        is_many: bool,  # noqa: FBT001 - the event's signature
    ) -> tuple[str, Any]:
        info = connection.info
        # `send` has begun what it sends, without a context.
        if context is not None and not info[IS_OPEN] and not _only_reads(statement, context):
            info[IS_OPEN] = True
            if is_many:
                cursor.execute("BEGIN")
            else:
                statement = f"BEGIN; {statement}"
        info[STARTED] = time.perf_counter()
        return statement, parameters


def _only_reads(statement: str, context: Any) -> bool:
    """Return whether a statement is the same outside of a transaction."""
    compiled = context.compiled
    return (
        compiled is not None
        and isinstance(compiled.statement, SelectBase)
        and not _can_write(statement)
    )


@lru_cache(1024)
def _can_write(query: str) -> bool:
    return NEEDS_TRANSACTION.search(query) is not None


def _commit_what_began(engine: Engine) -> None:
    """Send COMMIT if BEGIN was sent, together with the statement that waits for it."""

    @event.listens_for(engine, "commit")
    def _commit(connection: Connection) -> None:
        if WITH_COMMIT in connection.info:
            send_waiting(connection, "; COMMIT")
        elif connection.info[IS_OPEN]:
            send(connection, "COMMIT")
        del connection.info[IS_OPEN]


def _roll_back_what_began(engine: Engine) -> None:
    """Send ROLLBACK if BEGIN was sent, at the latest when the pool gets the connection back."""

    @event.listens_for(engine, "rollback")
    def _roll_back(connection: Connection) -> None:
        if connection.invalidated or connection.closed:
            return
        connection.info.pop(WITH_COMMIT, None)
        if connection.info.pop(IS_OPEN, False):
            send(connection, "ROLLBACK", reads=True)

    @event.listens_for(engine.pool, "reset")
    def _reset(connection: Any, *_: object) -> None:
        if connection.get_transaction_status() in UNFINISHED:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")


def _drop_lost_connections(engine: Engine) -> None:
    """Replace all connections after an error of a lost server."""

    @event.listens_for(engine, "handle_error")
    def _drop(context: ExceptionContext) -> None:
        if _is_lost(context.original_exception):
            context.is_disconnect = True


def _time_statements(engine: Engine, slow_ms: int) -> None:
    """Time statements, and log those that took longer than `slow_ms`, without their parameters."""

    @event.listens_for(engine, "after_cursor_execute")
    def _end(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        seconds = time.perf_counter() - connection.info[STARTED]
        metrics.statements.append(seconds)
        ms = seconds * 1000
        if ms >= slow_ms:
            logger.warning("slow statement", extra={"ms": round(ms, 1), "statement": statement})


def _look_before_use(pool: Pool) -> None:
    """Replace a connection that the server has closed, and log when the pool is exhausted.

    The server is not asked. Nothing should be readable between statements: it is the end, or a
    notice of it.
    """
    last_logged = 0.0

    @event.listens_for(pool, "checkout")
    def _checkout(connection: Any, *_: object) -> None:
        nonlocal last_logged
        watch = select.poll()
        watch.register(connection.fileno(), select.POLLIN)
        if watch.poll(0):
            raise DisconnectionError("the server has closed the connection")
        if not isinstance(pool, QueuePool) or pool.checkedout() < pool.size():
            return
        if time.monotonic() - last_logged > POOL_WARNING_INTERVAL_S:
            last_logged = time.monotonic()
            facts = {"in_use": pool.checkedout(), "size": pool.size()}
            logger.warning("connection pool exhausted", extra=facts)


def install_timeout(timeout_s: float = TIMEOUT_S) -> None:
    """Make every wait of this process for PostgreSQL raise `NoAnswer` after `timeout_s`.

    A frozen server, or a network that drops packets, may still acknowledge on the TCP level, so
    no other timeout ends the wait and each request would block its thread forever. Install it
    in serving processes only: a migration may take as long as it needs.
    """

    def wait(waiting: DriverConnection) -> None:
        state = waiting.poll()
        deadline = time.monotonic() + timeout_s
        watch = select.poll()
        while state != POLL_OK:
            watch.register(waiting, select.POLLIN if state == POLL_READ else select.POLLOUT)
            if not watch.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise NoAnswer("PostgreSQL does not answer")
            state = waiting.poll()

    set_wait_callback(wait)


def uninstall_timeout() -> None:
    """Wait without a client-side timeout again."""
    set_wait_callback(None)
