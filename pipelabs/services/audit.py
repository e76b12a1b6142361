"""The rules of the audit trail: its file says what the table says, each line once."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import String, cast, func, select, text
from sqlalchemy.dialects.postgresql import insert

from pipelabs import audit_file
from pipelabs.audit_line import line
from pipelabs.extensions import db
from pipelabs.models import AuditEvent, AuditFileMark, now

SETTLE = timedelta(seconds=5)
"""After so long a worker that is alive has written the line of its commit."""
LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext(:name))")
FILED = AuditEvent.event.startswith(audit_file.FILED, autoescape=True)


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
    present = audit_file.file_handler().ids_since(mark.marked_at - SETTLE if mark else None)
    since = mark.xid if mark and present is not None else "0"
    rows = list(_rows(instance, since, str(horizon)))
    settled = now() - SETTLE
    young = [row["xid"] for row in rows if row["at"] > settled]
    missing = [row for row in rows if row["at"] <= settled and row["id"] not in (present or set())]
    if missing:
        audit_file.file_handler().append(map(line, missing))
    _mark(instance, min(young, key=int, default=str(horizon)))
    return len(missing)


def rebuild(instance: str) -> int:
    """Write this instance's file anew from the table, in the order of ids; return its length."""
    rows = sorted(_rows(instance, "0", None), key=lambda row: row["id"])
    settled = [row for row in rows if row["at"] <= now() - SETTLE]
    audit_file.file_handler().replace(map(line, settled))
    return len(settled)


def _rows(instance: str, since: str, before: str | None) -> Iterator[dict[str, Any]]:
    """Yield the rows that the file is about, from one transaction on to another."""
    xid = AuditEvent.xid
    wanted = select(*AuditEvent.__table__.columns).where(
        AuditEvent.instance == instance, FILED, xid >= text("CAST(:since AS xid8)")
    )
    if before is not None:
        wanted = wanted.where(xid < text("CAST(:before AS xid8)"))
    found = db.session.execute(
        wanted.order_by(xid, AuditEvent.id), {"since": since, "before": before}
    )
    yield from (dict(row) for row in found.mappings())


def _mark(instance: str, xid: str) -> None:
    values = {"xid": text("CAST(:xid AS xid8)").bindparams(xid=xid), "marked_at": now()}
    statement = insert(AuditFileMark).values(instance=instance, **values)
    db.session.execute(
        statement.on_conflict_do_update(index_elements=[AuditFileMark.instance], set_=values)
    )
