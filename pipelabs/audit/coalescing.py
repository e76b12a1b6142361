"""Coalesce repeated denials: the first 20 a minute get a row, the rest are counted."""

from typing import cast

from sqlalchemy import (
    Executable,
    Integer,
    Table,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from pipelabs.core.db import Prepared, db, run_prepared
from pipelabs.models import CoalescedDenials

COALESCE_AFTER = 20
"""Denials of a caller in one minute that get a row each."""
PURGE_BATCH = 1_000


def count_denial(caller: str) -> bool:
    """Count a denial of this caller. Return whether it is coalesced and gets no row."""
    [counted] = run_prepared(COUNT_DENIAL, {"caller": caller, "limit": COALESCE_AFTER})
    return bool(counted.denials > COALESCE_AFTER)


def _build_count() -> Executable:
    """Return the statement that counts a denial, from 1 after a minute."""
    table = TABLE.c
    zero, one = literal_column("0", Integer), literal_column("1", Integer)
    window_is_over = table.window_at < func.now() - literal_column("interval '1 minute'")
    is_over_limit = table.denials >= bindparam("limit")
    first = insert(TABLE).values(
        caller=bindparam("caller"), window_at=func.now(), denials=one, coalesced=zero
    )
    return first.on_conflict_do_update(
        index_elements=[table.caller],
        set_={
            "window_at": case((window_is_over, func.now()), else_=table.window_at),
            "denials": case((window_is_over, one), else_=table.denials + one),
            "coalesced": table.coalesced + case((~window_is_over & is_over_limit, one), else_=zero),
        },
    ).returning(table.denials)


TABLE = cast(Table, CoalescedDenials.__table__)
COUNT_DENIAL = Prepared("count_denial", _build_count())


def purge() -> None:
    """Delete a batch of the counters older than an hour that have nothing left to report.

    Otherwise every address that was ever denied would keep one. After a flood there are many, and
    no request should pay for all.
    """
    is_over = CoalescedDenials.window_at < func.now() - func.make_interval(0, 0, 0, 0, 1)
    over = select(CoalescedDenials.caller).where(is_over, CoalescedDenials.coalesced == 0)
    # Of a CTE, which is read once: a subquery could be read again, for other rows.
    batch = over.limit(PURGE_BATCH).with_for_update(skip_locked=True).cte()
    in_batch = CoalescedDenials.caller.in_(select(batch.c.caller))
    db.session.execute(delete(CoalescedDenials).where(in_batch))


def drain(caller: str) -> int:
    """Return how many denials of this caller have no row, and reset the count."""
    is_caller = CoalescedDenials.caller == caller
    coalesced = (
        select(CoalescedDenials.coalesced)
        .where(is_caller, CoalescedDenials.coalesced > 0)
        .with_for_update()
    )
    count = db.session.scalar(coalesced)
    if count:
        db.session.execute(update(CoalescedDenials).where(is_caller).values(coalesced=0))
    return count or 0
