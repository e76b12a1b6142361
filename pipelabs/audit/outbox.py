"""Lines that wait for the commit: what is rolled back is never told."""

from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from pipelabs.audit import log_file
from pipelabs.core.db import AuditedSession, db

PENDING = "pipelabs.audit_rows"
"""Where a session keeps the rows whose lines are written once it has committed."""
MARKS = "pipelabs.audit_marks"
"""Where it keeps, for each open savepoint, how many of them are older."""


def add(row: dict[str, Any]) -> None:
    """Write the line of this row when the running transaction has committed."""
    _pending(db.session()).append(row)


def _pending(session: Session) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], session.info.setdefault(PENDING, []))


@event.listens_for(AuditedSession, "after_transaction_create")
def _mark(session: Session, begun: SessionTransaction) -> None:
    """Remember how many rows were there when a savepoint began."""
    if begun.nested:
        session.info.setdefault(MARKS, {})[begun] = len(_pending(session))


@event.listens_for(AuditedSession, "after_rollback")
def _forget_lines(session: Session) -> None:
    """Forget the rows of what is rolled back: those since the savepoint, or all."""
    savepoint = session.get_nested_transaction()
    del _pending(session)[session.info[MARKS][savepoint] if savepoint else 0 :]


@event.listens_for(AuditedSession, "after_transaction_end")
def _unmark(session: Session, ended: SessionTransaction) -> None:
    session.info.get(MARKS, {}).pop(ended, None)


@event.listens_for(AuditedSession, "after_commit")
def _write_lines(session: Session) -> None:
    # A released savepoint says so too, but may still be rolled back with what is around it.
    if session.in_nested_transaction():
        return
    for row in session.info.pop(PENDING, []):
        log_file.write(row)
