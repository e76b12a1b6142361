"""The rules of the audit trail: its file says what the table says, each line once."""

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
"""After so long a worker that is alive has written the line of its commit."""
LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext(:name))")
BATCH = 1000
TABLE = AuditEvent.__table__
FILED = AuditEvent.event.startswith(log_file.FILED, autoescape=True)


def reconcile(instance: str) -> int:
    """Append the lines that this instance's file lacks, and return how many there were.

    Rows are looked through in the order of transactions: below the oldest one still running
    nothing can appear any more, which no order of ids could say. One process at a time; another
    returns 0. Rotated files count, however they are named after the file; deleted ones are not
    written again unless the whole family is gone.
    """
    if not db.session.scalar(LOCK, {"name": f"pipelabs.reconcile.{instance}"}):
        return 0
    horizon = db.session.scalar(
        select(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), String))
    )
    mark = db.session.get(AuditFileMark, instance)
    present = log_file.get_file_handler().ids_since(mark.marked_at - SETTLE if mark else None)
    since = mark.xid if mark and present is not None else "0"
    settled = now() - SETTLE
    oldest_young, missing = str(horizon), []
    span = (_xid("since", since) <= TABLE.c.xid, TABLE.c.xid < _xid("before", str(horizon)))
    for row in _rows(_about(instance, TABLE.c.id, TABLE.c.xid, TABLE.c.at).where(*span)):
        if row["at"] > settled:
            oldest_young = min(oldest_young, row["xid"], key=int)
        elif row["id"] not in (present or ()):
            missing.append(row["id"])
    for first in range(0, len(missing), BATCH):
        wanted = TABLE.c.id.in_(missing[first : first + BATCH])
        log_file.get_file_handler().append(map(format_line, _rows(_about(instance).where(wanted))))
    _mark(instance, oldest_young)
    return len(missing)


def rebuild(instance: str) -> int:
    """Write this instance's file anew from the table, in the order of ids; return its length."""
    settled = _about(instance).where(now() - SETTLE >= TABLE.c.at)
    written = count()
    rows = _rows(settled.order_by(None).order_by(TABLE.c.id))
    log_file.get_file_handler().replace(
        format_line(row) for row, _ in zip(rows, written, strict=False)
    )
    return next(written)


def _about(instance: str, *columns: ColumnElement[Any]) -> Select[Any]:
    """Return the query for what an instance's file is about, in the order of transactions."""
    wanted = select(*columns or TABLE.columns).where(TABLE.c.instance == instance, FILED)
    return wanted.order_by(TABLE.c.xid, TABLE.c.id)


def _rows(wanted: Select[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows; a batch of them is in memory at a time, however long the table is."""
    found = db.session.execute(wanted.execution_options(yield_per=BATCH))
    yield from (dict(row) for row in found.mappings())


def _xid(name: str, value: str) -> TextClause:
    return text(f"CAST(:{name} AS xid8)").bindparams(**{name: value})


def _mark(instance: str, xid: str) -> None:
    values = {"xid": _xid("xid", xid), "marked_at": now()}
    statement = insert(AuditFileMark).values(instance=instance, **values)
    db.session.execute(
        statement.on_conflict_do_update(index_elements=[AuditFileMark.instance], set_=values)
    )
