"""Floods of refusals: the first of a minute have a row each, the rest are counted."""

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pipelabs.core.db import db
from pipelabs.models import AuditFold

FOLD_AFTER = 20
"""Refusals of one caller in a minute that get a row each."""


def count(caller: str) -> bool:
    """Count one refusal of this caller; return whether it is folded in place of getting a row."""
    is_over = AuditFold.window_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 1)
    is_folded = AuditFold.refusals >= FOLD_AFTER
    first = insert(AuditFold).values(caller=caller, window_at=func.now(), refusals=1, folded=0)
    statement = first.on_conflict_do_update(
        index_elements=[AuditFold.caller],
        set_={
            "window_at": case((is_over, func.now()), else_=AuditFold.window_at),
            "refusals": case((is_over, 1), else_=AuditFold.refusals + 1),
            "folded": AuditFold.folded + case((~is_over & is_folded, 1), else_=0),
        },
    )
    return db.session.execute(statement.returning(AuditFold.refusals)).scalar_one() > FOLD_AFTER


def purge() -> None:
    """Drop the counts that are long over and told: every address that ever called has one."""
    is_over = AuditFold.window_at < func.now() - func.make_interval(0, 0, 0, 0, 1)
    db.session.execute(delete(AuditFold).where(is_over, AuditFold.folded == 0))


def take(caller: str) -> int:
    """Return how many refusals of this caller have no row, and set the count back."""
    mine = AuditFold.caller == caller
    waiting = select(AuditFold.folded).where(mine, AuditFold.folded > 0).with_for_update()
    if folded := db.session.scalar(waiting):
        db.session.execute(update(AuditFold).where(mine).values(folded=0))
    return folded or 0
