"""Statements that are compiled once per process and planned once per connection.

They are for what almost every request runs. The session runs everything else.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Executable, Uuid
from sqlalchemy.dialects.postgresql import asyncpg, psycopg2
from sqlalchemy.sql.compiler import SQLCompiler

from pipelabs.core.connections import CAN_PREPARE, Values, send, send_with_commit

PREPARED = "pipelabs.prepared"
"""Key in `Connection.info`: names of the statements that the connection has prepared."""
DRIVER: Any = psycopg2.dialect()  # type: ignore[no-untyped-call]
NUMBERED: Any = asyncpg.dialect()  # type: ignore[no-untyped-call]
"""Writes `$1::UUID`, as PREPARE needs it. The driver itself is not used."""


class Prepared:
    """A Core statement whose values are all bound by name. It is compiled when it is first used."""

    def __init__(self, name: str, statement: Executable, *, reads: bool = False) -> None:
        """`name` is unique. `reads` says that the statement needs no transaction."""
        self._name = name
        self._statement: Any = statement
        self.reads = reads

    def run(self, connection: Connection, values: Values) -> list[Any]:
        """Return the rows as named tuples."""
        text, bound = self._call(connection, values)
        return [self._row(row) for row in send(connection, text, bound, reads=self.reads)]

    def send_with_commit(self, connection: Connection, values: Values, failure: Exception) -> None:
        """Send the statement together with the COMMIT, which then raises `failure` if it fails."""
        send_with_commit(connection, *self._call(connection, values), failure)

    def _call(self, connection: Connection, values: Values) -> tuple[str, Values]:
        """Return the text and the values for the driver."""
        bound = {
            name: values[name] if convert is None else convert(values[name])
            for name, convert in self._parameters
        }
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
        """Parameters in the order of PREPARE, and what converts their values for the driver."""
        numbered = self._statement.compile(dialect=NUMBERED)
        return [
            (name, _converter(self._compiled.binds[name].type)) for name in numbered.positiontup
        ]

    @cached_property
    def _execute(self) -> str:
        parameters = ", ".join(f"%({name})s" for name, _ in self._parameters)
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
    converter: Callable[[Any], Any] | None = kind.dialect_impl(DRIVER).bind_processor(DRIVER)
    return converter


def _to_text(value: Any) -> str | None:
    return None if value is None else str(value)
