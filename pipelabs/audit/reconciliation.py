"""Reconcile the audit file with the table: every row has its line, exactly once."""

import logging
from datetime import timedelta
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Select, String, TextClause, cast, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import log_file
from pipelabs.audit.line_format import format_line
from pipelabs.audit.log_reader import Look, Position
from pipelabs.core.db import db, read_in_batches
from pipelabs.models import AuditEvent, AuditFileMark, now

logger = logging.getLogger("pipelabs")
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
    return 0. The file is read from where the last run ended. Rotated files (`NAME*`, also gzipped)
    are searched too. Lines of deleted rotated files are not written again, unless no file is left.
    If the file itself was moved away, emptied or truncated, its lines are written again.
    """
    if not db.session.scalar(LOCK, {"name": f"pipelabs.reconcile.{instance}"}):
        return 0
    horizon = db.session.scalar(
        select(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), String))
    )
    mark, file = db.session.get(AuditFileMark, instance), log_file.get_file_handler()
    seen = file.look(_position_of(mark))
    since = _first_xid(mark, seen)
    settled_at, next_mark = now() - SETTLE, str(horizon)
    missing: list[int] = []
    waiting: set[int] = set()
    query = _select_rows(instance, TABLE.c.id, TABLE.c.xid, TABLE.c.at)
    rows = query.where(_xid("since", since) <= TABLE.c.xid)
    for row in read_in_batches(rows, (TABLE.c.xid, TABLE.c.id), BATCH):
        is_final = row.at <= settled_at and int(row.xid) < int(str(horizon))
        if waiting or not is_final:
            # Rows from here on are read again next time, so their lines have to be, too.
            next_mark = next_mark if waiting else min(next_mark, row.xid, key=int)
            waiting.add(row.id)
        if is_final and row.id not in (seen.ids or ()):
            missing.append(row.id)
    if seen.is_lost and missing:
        # After logrotate has compressed the file, nothing is missing.
        logger.warning("the audit file was moved, emptied or truncated")
    for start in range(0, len(missing), BATCH):
        is_missing = TABLE.c.id.in_(missing[start : start + BATCH])
        lacking = db.session.execute(_select_rows(instance).where(is_missing))
        file.append(format_line(dict(row)) for row in lacking.mappings())
    _store_mark(instance, next_mark, file.next_position(seen, waiting), mark, since)
    return len(missing)


def rebuild(instance: str) -> int:
    """Rewrite this instance's file from the table, in the order of ids. Return its line count."""
    settled = _select_rows(instance).where(now() - SETTLE >= TABLE.c.at)
    line_count = count()
    rows = read_in_batches(settled, [TABLE.c.id], BATCH)
    log_file.get_file_handler().replace(
        format_line(row._asdict()) for row, _ in zip(rows, line_count, strict=False)
    )
    # The new file is no file that was moved away.
    db.session.execute(
        update(AuditFileMark)
        .where(AuditFileMark.instance == instance)
        .values(inode=None, byte_offset=None, tail=None, file_xid=_xid("file_xid", "0"))
    )
    return next(line_count)


def find_mark(instance: str) -> AuditFileMark | None:
    """Return how far this instance's file was reconciled, or None if it never was."""
    return db.session.get(AuditFileMark, instance)


def has_lost_place(mark: AuditFileMark) -> bool:
    """Return whether the file is not the one that the last run has read.

    It was moved away, emptied or truncated, or this process looks in another folder.
    """
    return log_file.get_file_handler().look(_position_of(mark)).is_lost


def _select_rows(instance: str, *columns: ColumnElement[Any]) -> Select[Any]:
    """Return the query for the rows of an instance's file, in the order of transaction ids."""
    query = select(*columns or TABLE.columns).where(TABLE.c.instance == instance, IS_FILE_EVENT)
    return query.order_by(TABLE.c.xid, TABLE.c.id)


def _xid(name: str, value: str) -> TextClause:
    return text(f"CAST(:{name} AS xid8)").bindparams(**{name: value})


def _position_of(mark: AuditFileMark | None) -> Position | None:
    if mark is None or mark.inode is None or mark.byte_offset is None:
        return None
    return Position(mark.inode, mark.byte_offset, mark.tail or b"")


def _first_xid(mark: AuditFileMark | None, seen: Look) -> str:
    """Return from which transaction on rows may lack their line."""
    if mark is None or seen.ids is None:
        return "0"
    return (mark.file_xid or mark.xid) if seen.is_lost else mark.xid


def _store_mark(
    instance: str, xid: str, position: Position | None, old: AuditFileMark | None, since: str
) -> None:
    """Store where the next run begins.

    `file_xid` is where the file begins: it moves on when the mark moves to a new file.
    """
    is_new_file = position and old and old.inode and position.inode != old.inode
    file_xid = old.file_xid if old and old.file_xid and not is_new_file else since
    values = {
        "xid": _xid("xid", xid),
        "marked_at": now(),
        "inode": position and position.inode,
        "byte_offset": position and position.offset,
        "tail": position and position.tail,
        "file_xid": _xid("file_xid", str(file_xid)),
    }
    statement = insert(AuditFileMark).values(instance=instance, **values)
    db.session.execute(
        statement.on_conflict_do_update(index_elements=[AuditFileMark.instance], set_=values)
    )
