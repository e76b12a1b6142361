"""Sessions, prepared statements and units of work; the only module that commits.

Prepared statements are for what almost every request runs. They are compiled once per process and
planned once per connection. The session runs everything else.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import (
    ARRAY,
    BindParameter,
    Connection,
    CursorResult,
    Engine,
    Executable,
    NullPool,
    Result,
    Row,
    Select,
    Uuid,
    create_engine,
    event,
    tuple_,
)
from sqlalchemy.dialects.postgresql import asyncpg, psycopg2
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import KeyedColumnElement

from pipelabs.core import connections
from pipelabs.core.connections import (
    CAN_PREPARE,
    IS_OPEN,
    NoAnswer,
    TimedPool,
    Values,
    send,
    send_waiting,
)
from pipelabs.core.settings import setting
from pipelabs.models import Base

CONNECTION = "pipelabs.connection"
"""Key in `Session.info`: the connection of the current transaction."""
PREPARED = "pipelabs.prepared"
"""Key in `Connection.info`: names of the statements that the connection has prepared."""
DRIVER: Any = psycopg2.dialect()  # type: ignore[no-untyped-call]
NUMBERED: Any = asyncpg.dialect()  # type: ignore[no-untyped-call]
"""Writes `$1::UUID`, as PREPARE needs it. The driver itself is not used."""


READS = "pipelabs.reads"
"""Key in `Session.info`: the engine that the session uses instead of the primary's."""


class AuditedSession(FlaskSession):
    """The session class that the audit outbox subscribes to. It may read from a replica."""

    def get_bind(self, *arguments: Any, **options: Any) -> Engine | Connection:
        """Return the replica while the session reads from it, else the primary."""
        engine: Engine | None = self.info.get(READS)
        return engine or super().get_bind(*arguments, **options)


@event.listens_for(AuditedSession, "after_begin")
def _keep_connection(session: Session, _: SessionTransaction, connection: Connection) -> None:
    """Keep the connection of a transaction at hand. Asking the session takes much longer."""
    session.info[CONNECTION] = connection


@event.listens_for(AuditedSession, "after_transaction_create")
@event.listens_for(AuditedSession, "after_transaction_end")
def _forget_connection(session: Session, _: SessionTransaction) -> None:
    """Forget the connection. The session sends SAVEPOINT only when it is asked for it."""
    session.info.pop(CONNECTION, None)


def get_connection() -> Connection:
    """Return the connection of the current unit of work, which may begin with it."""
    session = db.session()
    connection: Connection | None = session.info.get(CONNECTION)
    return connection or session.connection()


BulkUpdate = Callable[[ORMExecuteState], Result[Any]]
_bulk_updates: dict[type[Base], BulkUpdate] = {}


db = SQLAlchemy(
    metadata=Base.metadata,
    session_options={"class_": AuditedSession},
    engine_options={"poolclass": TimedPool},
)
MIGRATIONS = str(Path(__file__).parents[2] / "migrations")
QUEUE_PREFIX = "procrastinate_"


def is_declared(name: str | None, kind: str, _parents: object) -> bool:
    """Return whether our models declare a table: the queue's are declared by its library."""
    return kind != "table" or not (name or "").startswith(QUEUE_PREFIX)


migrate = Migrate(directory=MIGRATIONS, render_as_batch=False, include_name=is_declared)


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
    return get_connection().execute(statement, values)


def read_in_batches(
    query: Select[Any], order: Sequence[KeyedColumnElement[Any]], size: int
) -> Iterator[Row[Any]]:
    """Yield the rows of a query with only one batch in memory at a time.

    They come in the order of these selected columns, which are never null and unique together.
    """
    batch = query.order_by(None).order_by(*order).limit(size)
    rows = db.session.execute(batch).all()
    while rows:
        yield from rows
        last = [getattr(rows[-1], column.key) for column in order]
        next_batch = batch.where(tuple_(*order) > tuple_(*last))
        rows = db.session.execute(next_batch).all() if len(rows) == size else []


class Prepared:
    """A Core statement whose values are bound by name. It is compiled when it is first used."""

    def __init__(self, name: str, statement: Executable, *, reads: bool = False) -> None:
        """`name` is unique. `reads` says that the statement needs no transaction."""
        self._name = name
        self._statement: Any = statement
        self.reads = reads

    def run(self, connection: Connection, values: Values) -> list[Any]:
        """Return the rows as named tuples."""
        text, bound = self._call(connection, values)
        return [self._row(row) for row in send(connection, text, bound, reads=self.reads)]

    def send_with_commit(
        self, connection: Connection, values: Values, failure: Callable[[], Exception]
    ) -> None:
        """Send the statement together with the COMMIT, as `connections.send_with_commit` does."""
        connections.send_with_commit(connection, *self._call(connection, values), failure)

    def _call(self, connection: Connection, values: Values) -> tuple[str, Values]:
        """Return the text and the values for the driver."""
        bound = {
            name: values[name] if convert is None else convert(values[name])
            for name, convert in self._parameters
        }
        bound |= self._constants
        info = connection.info
        if not info[CAN_PREPARE]:
            return str(self._compiled), bound
        if self._name not in info.setdefault(PREPARED, set()):
            numbered = self._statement.compile(dialect=NUMBERED)
            prepare = f"PREPARE {self._name} AS {numbered}"
            send(connection, prepare, reads=True)
            info[PREPARED].add(self._name)
        return self._execute, bound

    def _row(self, values: Iterable[Any]) -> Any:
        return self._row_type(
            *(
                value if convert is None else convert(value)
                for value, convert in zip(values, self._converters, strict=True)
            )
        )

    @cached_property
    def _compiled(self) -> SQLCompiler:
        compiled: SQLCompiler = self._statement.compile(dialect=DRIVER)
        return compiled

    @cached_property
    def _parameters(self) -> list[tuple[str, Callable[[Any], Any] | None]]:
        """Parameters without a value of their own, and what converts values for the driver."""
        binds = self._compiled.bind_names.items()
        return [(name, _converter(bind.type)) for bind, name in binds if bind.required]

    @cached_property
    def _constants(self) -> Values:
        """Values that are part of the statement, converted for the driver."""
        binds = self._compiled.bind_names.items()
        return {name: _convert(bind) for bind, name in binds if not bind.required}

    @cached_property
    def _execute(self) -> str:
        names = self._statement.compile(dialect=NUMBERED).positiontup
        parameters = ", ".join(f"%({name})s" for name in names)
        return f"EXECUTE {self._name}({parameters})"

    @cached_property
    def _converters(self) -> list[Callable[[Any], Any] | None]:
        columns = self._statement.exported_columns
        return [
            column.type.dialect_impl(DRIVER).result_processor(DRIVER, None) for column in columns
        ]

    @cached_property
    def _row_type(self) -> Any:
        return namedtuple("Row", self._statement.exported_columns.keys())


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    """Return what converts a value of the type for the driver."""
    if isinstance(kind, Uuid):
        # The driver would take three times as long.
        return _to_text
    if isinstance(kind, ARRAY) and isinstance(kind.item_type, Uuid):
        # The driver would send an array of texts, which EXECUTE does not take for one of UUIDs.
        return _to_array_text
    converter: Callable[[Any], Any] | None = kind.dialect_impl(DRIVER).bind_processor(DRIVER)
    return converter


def _convert(bind: BindParameter[Any]) -> Any:
    """Return a bound value as the driver takes it."""
    convert = _converter(bind.type)
    return bind.value if convert is None else convert(bind.value)


def _to_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _to_array_text(values: Iterable[Any]) -> str:
    return f"{{{','.join(map(str, values))}}}"


def run_prepared(statement: Prepared, values: Mapping[str, Any]) -> list[Any]:
    """Run a prepared statement in the current unit of work, and return its rows.

    If the server has closed the connection, a statement that only reads is run again on another
    one, unless a transaction was open.
    """
    connection = get_connection()
    may_repeat = statement.reads and not connection.info[IS_OPEN]
    try:
        return statement.run(connection, values)
    except DBAPIError as error:
        is_lost = error.connection_invalidated and not isinstance(error.orig, NoAnswer)
        if not may_repeat or not is_lost:
            raise
    db.session.rollback()
    return statement.run(get_connection(), values)


def run_with_commit(
    statement: Prepared, values: Mapping[str, Any], failure: Callable[[], Exception]
) -> None:
    """Send a prepared statement together with the COMMIT of the current unit of work.

    This saves a round trip. The commit raises what `failure` returns if the statement fails. Within
    a savepoint, which may be rolled back, the statement is sent at once.
    """
    connection = get_connection()
    statement.send_with_commit(connection, values, failure)
    if connection.in_nested_transaction():
        send_waiting(connection)


def release() -> None:
    """End the current transaction, which has written nothing, before a slow call.

    The connection returns to the pool. Objects of the session are reloaded when next used.
    """
    finish(commit=False)


def finish(*, commit: bool) -> None:
    """Commit or roll back the current unit of work. Roll back and re-raise a failed commit."""
    session = db.session()
    if not commit or not session.in_transaction():
        session.rollback()
        return
    try:
        session.commit()
    except BaseException:
        session.rollback()
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


@contextmanager
def use_database(url: str) -> Iterator[None]:
    """Let the session use another database in the block, where statements may take long."""
    long = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"
    engine = create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"options": long}
    )
    connections.watch(engine, setting("SLOW_QUERY_MS"))
    finish(commit=False)
    db.session().info[READS] = engine
    try:
        yield
    finally:
        finish(commit=False)
        db.session().info.pop(READS, None)


def init_app(app: Flask) -> None:
    """Bind the database and its migrations to the application."""
    db.init_app(app)
    migrate.init_app(app, db)
    with app.app_context():
        engine = db.engine
    connections.watch(engine, app.config["SLOW_QUERY_MS"])
