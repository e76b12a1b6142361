"""Periods that people ask for: today, yesterday, the last days, this month."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple


class Period(StrEnum):
    """A period that is relative to today."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    LAST_7_DAYS = "last_7_days"
    LAST_30_DAYS = "last_30_days"
    THIS_MONTH = "this_month"


LABELS = {
    Period.TODAY: "Today",
    Period.YESTERDAY: "Yesterday",
    Period.LAST_7_DAYS: "Last 7 days",
    Period.LAST_30_DAYS: "Last 30 days",
    Period.THIS_MONTH: "This month",
}


class Span(NamedTuple):
    """A span of time in UTC. `until` is excluded, and None for one that is not over."""

    since: datetime
    until: datetime | None


def span_of(period: Period, moment: datetime, zone: tzinfo) -> Span:
    """Return the span of a period at a time. Days begin at midnight in the zone."""
    today = moment.astimezone(zone).date()
    days = {Period.YESTERDAY: 1, Period.LAST_7_DAYS: 6, Period.LAST_30_DAYS: 29}
    first = today.replace(day=1) if period is Period.THIS_MONTH else today
    first -= timedelta(days=days.get(period, 0))
    since, midnight = (
        datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, today)
    )
    return Span(since, midnight if period is Period.YESTERDAY else None)
