"""Log lines buffered until the transaction commits."""

from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from pipelabs.audit import log_file
from pipelabs.core.db import AuditedSession, db

ROWS = "pipelabs.audit_rows"
"""Key in `Session.info`: the audit rows whose lines are written after the commit."""
SAVEPOINTS = "pipelabs.audit_savepoints"
"""Key in `Session.info`: open savepoint → number of rows buffered before it."""


def add(row: dict[str, Any]) -> None:
    """Write the line of this row once the current transaction has committed."""
    _rows(db.session()).append(row)


def _rows(session: Session) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], session.info.setdefault(ROWS, []))


@event.listens_for(AuditedSession, "after_transaction_create")
def _open_savepoint(session: Session, transaction: SessionTransaction) -> None:
    """Remember how many rows are buffered when a savepoint begins."""
    if transaction.nested:
        session.info.setdefault(SAVEPOINTS, {})[transaction] = len(_rows(session))


@event.listens_for(AuditedSession, "after_rollback")
def _discard_rows(session: Session) -> None:
    """Discard the rows that are rolled back: those since the savepoint, or all."""
    savepoint = session.get_nested_transaction()
    del _rows(session)[session.info[SAVEPOINTS][savepoint] if savepoint else 0 :]


@event.listens_for(AuditedSession, "after_transaction_end")
def _close_savepoint(session: Session, transaction: SessionTransaction) -> None:
    session.info.get(SAVEPOINTS, {}).pop(transaction, None)


@event.listens_for(AuditedSession, "after_commit")
def _write_lines(session: Session) -> None:
    # SQLAlchemy also sends this event for a released savepoint, which may still be rolled back.
    if session.in_nested_transaction():
        return
    for row in session.info.pop(ROWS, []):
        log_file.write(row)
