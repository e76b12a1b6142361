"""Check that tables, indexes and constraints are those of the models."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Column, Index, Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SAWarning
from sqlalchemy.schema import CreateIndex

from pipelabs.core.db import db, migrate
from pipelabs.doctor.findings import Finding, count, fail, warn
from pipelabs.models import Base

MAX_SHOWN = 10
DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
INVALID_INDEXES = text("""
SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relnamespace = 'public'::regnamespace ORDER BY relname
""")
CONSTRAINTS = text("""
SELECT conname, conrelid::regclass::text AS table_name, contype, convalidated,
    pg_get_expr(conbin, conrelid) AS condition
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f')
ORDER BY conname
""")


def check_schema() -> Iterator[Finding]:
    """Find differences between the models and the database, as `flask db check` does."""
    options = dict(migrate.alembic_ctx_kwargs)
    context = MigrationContext.configure(db.session.connection(), opts=options)
    with warnings.catch_warnings():
        # What SQLAlchemy can't read, such as a constraint that is not validated, is not compared.
        warnings.simplefilter("ignore", SAWarning)
        found = [_describe(difference) for difference in compare_metadata(context, Base.metadata)]
    yield from found[:MAX_SHOWN]
    if len(found) > MAX_SHOWN:
        yield fail(f"There are {count(len(found) - MAX_SHOWN, 'further difference')}.")


def check_constraints() -> Iterator[Finding]:
    """Find constraints that are missing, and rows that break one that is not validated."""
    rows = db.session.execute(CONSTRAINTS).all()
    there = {row.conname for row in rows}
    for table, name in _named_checks():
        if name not in there:
            yield fail(
                f"The constraint {name} of {table} is missing. Create it as its migration does."
            )
    for row in rows:
        if not row.convalidated:
            yield _judge(row)


def check_indexes() -> Iterator[Finding]:
    """Find indexes that an interrupted migration left invalid."""
    for name in db.session.scalars(INVALID_INDEXES):
        yield fail(
            f"The index {name} is invalid, so no query uses it. As the owner run: REINDEX INDEX"
            f" CONCURRENTLY {name}"
        )


def _named_checks() -> Iterator[tuple[str, str]]:
    for table in Base.metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint) and constraint.name:
                yield table.name, str(constraint.name)


def _judge(row: Any) -> Finding:
    """Count the rows that break a constraint which PostgreSQL has not checked."""
    validate = f"ALTER TABLE {row.table_name} VALIDATE CONSTRAINT {row.conname}"
    broken = 0
    if row.contype == "c":
        # Names and condition are PostgreSQL's own.
        query = f"SELECT count(*) FROM {row.table_name} WHERE NOT ({row.condition})"  # noqa: S608 - of the catalogue
        broken = db.session.scalar(text(query.replace(":", "\\:"))) or 0
    if broken:
        break_it = "breaks" if broken == 1 else "break"
        return fail(
            f"{count(broken, 'row')} of {row.table_name} {break_it} the constraint {row.conname}."
            f" Correct them, then run: {validate}"
        )
    return warn(f"The constraint {row.conname} was never checked. As the owner run: {validate}")


def _describe(difference: Any) -> Finding:
    """Return a difference of Alembic's as a sentence. Changes of one column come as a list."""
    if isinstance(difference, list):
        kinds = ", ".join(change[0].removeprefix("modify_") for change in difference)
        _, _, table, column, *_ = difference[0]
        return fail(f"The column {column} of {table} differs in: {kinds}. Compare the migrations.")
    kind, *subject = difference
    action, _, noun = kind.partition("_")
    if kind == "add_index":
        return _missing_index(subject[0])
    name = _name(subject)
    if action == "add":
        return fail(f"The {noun} {name} is missing. Create it as its migration does.")
    return warn(
        f"The {noun} {name} is not one of this release. Drop it, unless you have created it."
    )


def _missing_index(index: Index) -> Finding:
    sql = str(CreateIndex(index).compile(dialect=DIALECT)).replace("\n", " ")
    sql = sql.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
    table = index.table.name if index.table is not None else ""
    report = fail if index.unique else warn
    return report(f"The index {index.name} of {table} is missing. As the owner run: {sql}")


def _name(subject: Sequence[Any]) -> str:
    """Return the name of what was added or removed, with its table's."""
    thing = subject[-1]
    if isinstance(thing, Table):
        return thing.name
    if isinstance(thing, Column):
        return f"{thing.name} of {subject[-2]}"
    return f"{thing.name} of {thing.table.name}"
