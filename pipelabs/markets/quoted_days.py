"""Count the markets that clients are quoted in, day by day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.core.db import db
from pipelabs.models import ClientMarket, QuotedDay, QuotingStatus, now

COUNT_EVERY = timedelta(hours=1)
"""Counting reads every client market: 0.3 s for 3,200,000."""


def count_today() -> bool:
    """Store how many clients' markets are active and paused now. Return whether they were counted.

    They are counted once an hour, by whichever process asks first. The last count of a day stays.
    """
    at = now()
    last = db.session.get(QuotedDay, _day(at))
    if last and at - last.counted_at < COUNT_EVERY:
        return False
    counts: Any = select(
        bindparam("day", _day(at)),
        func.count().filter(ClientMarket.status == QuotingStatus.ACTIVE),
        func.count().filter(ClientMarket.status == QuotingStatus.PAUSED),
        bindparam("counted_at", at),
    )
    names = ["day", "active", "paused", "counted_at"]
    new = insert(QuotedDay).from_select(names, counts)
    latest = {name: new.excluded[name] for name in names[1:]}
    db.session.execute(new.on_conflict_do_update(index_elements=["day"], set_=latest))
    return True


def list_days(days: int) -> list[tuple[date, QuotedDay | None]]:
    """Return the counts of the last days, from the first that has one until today."""
    today = _day(now())
    query = select(QuotedDay).where(QuotedDay.day > today - timedelta(days=days))
    counted = {row.day: row for row in db.session.scalars(query)}
    first = min(counted, default=today)
    span = (today - first).days + 1
    return [(day, counted.get(day)) for day in (first + timedelta(days=n) for n in range(span))]


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
