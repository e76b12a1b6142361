"""Reconcile the audit file with the table: every row has its line, exactly once."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Select, String, TextClause, cast, func, select, text
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import log_file
from pipelabs.audit.line_format import format_line
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, AuditFileMark, now

SETTLE = timedelta(seconds=5)
"""Rows younger than this are skipped. Their worker may still be writing the line."""
LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext(:name))")
BATCH = 1000
TABLE = AuditEvent.__table__
IS_FILE_EVENT = AuditEvent.event.startswith(log_file.FILE_EVENT_PREFIX, autoescape=True)


def reconcile(instance: str) -> int:
    """Append the lines that this instance's file lacks, and return their number.

    Rows are read in the order of transaction ids: no new row can appear below the oldest running
    transaction, which ids of rows do not guarantee. Only one process reconciles at a time; others
    return 0. Rotated files (`NAME*`, also gzipped) are searched too. Lines of deleted rotated
    files are not written again, unless no file is left at all.
    """
    if not db.session.scalar(LOCK, {"name": f"pipelabs.reconcile.{instance}"}):
        return 0
    horizon = db.session.scalar(
        select(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), String))
    )
    mark = db.session.get(AuditFileMark, instance)
    present = log_file.get_file_handler().read_ids(mark.marked_at - SETTLE if mark else None)
    since = mark.xid if mark and present is not None else "0"
    settled_at = now() - SETTLE
    next_mark, missing = str(horizon), []
    span = (_xid("since", since) <= TABLE.c.xid, TABLE.c.xid < _xid("before", str(horizon)))
    for row in _stream(_select_rows(instance, TABLE.c.id, TABLE.c.xid, TABLE.c.at).where(*span)):
        if row["at"] > settled_at:
            next_mark = min(next_mark, row["xid"], key=int)
        elif row["id"] not in (present or ()):
            missing.append(row["id"])
    for start in range(0, len(missing), BATCH):
        is_missing = TABLE.c.id.in_(missing[start : start + BATCH])
        rows = _stream(_select_rows(instance).where(is_missing))
        log_file.get_file_handler().append(map(format_line, rows))
    _store_mark(instance, next_mark)
    return len(missing)


def rebuild(instance: str) -> int:
    """Rewrite this instance's file from the table, in the order of ids. Return its line count."""
    settled = _select_rows(instance).where(now() - SETTLE >= TABLE.c.at)
    line_count = count()
    rows = _stream(settled.order_by(None).order_by(TABLE.c.id))
    log_file.get_file_handler().replace(
        format_line(row) for row, _ in zip(rows, line_count, strict=False)
    )
    return next(line_count)


def _select_rows(instance: str, *columns: ColumnElement[Any]) -> Select[Any]:
    """Return the query for the rows of an instance's file, in the order of transaction ids."""
    query = select(*columns or TABLE.columns).where(TABLE.c.instance == instance, IS_FILE_EVENT)
    return query.order_by(TABLE.c.xid, TABLE.c.id)


def _stream(query: Select[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows with only one batch in memory at a time."""
    result = db.session.execute(query.execution_options(yield_per=BATCH))
    yield from (dict(row) for row in result.mappings())


def _xid(name: str, value: str) -> TextClause:
    return text(f"CAST(:{name} AS xid8)").bindparams(**{name: value})


def _store_mark(instance: str, xid: str) -> None:
    values = {"xid": _xid("xid", xid), "marked_at": now()}
    statement = insert(AuditFileMark).values(instance=instance, **values)
    db.session.execute(
        statement.on_conflict_do_update(index_elements=[AuditFileMark.instance], set_=values)
    )
