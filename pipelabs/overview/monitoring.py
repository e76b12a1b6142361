"""Client creations over a span: outcomes, processing time and causes, and what limits denied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Float, cast, func, select, tuple_

from pipelabs.audit.events import Event
from pipelabs.core.cache import remember
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Outcome, now
from pipelabs.overview.queries import Activity, Pattern, list_activity, top_patterns

QUANTILES = (0.5, 0.95, 0.99)
SERIES = ("created", "rejected", "limited", "failed")
"""What an attempt can come to, in the order of the chart."""
RESULTS = {
    Outcome.SUCCESS: "created",
    Outcome.DUPLICATE: "rejected",
    Outcome.INVALID: "rejected",
    Outcome.UNAUTHORIZED: "rejected",
    Outcome.FORBIDDEN: "rejected",
    Outcome.RATE_LIMITED: "limited",
    Outcome.ERROR: "failed",
}
"""Outcome of an attempt → its series."""


class MonitoredSpan(StrEnum):
    """The spans that one can look at."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"


class Buckets(NamedTuple):
    """How long each bucket of a span is, and how many there are."""

    length: timedelta
    number: int


BUCKETS = {
    MonitoredSpan.DAY: Buckets(timedelta(hours=1), 24),
    MonitoredSpan.WEEK: Buckets(timedelta(hours=6), 28),
    MonitoredSpan.MONTH: Buckets(timedelta(days=1), 30),
}


class Times(NamedTuple):
    """Processing time of successful creations in milliseconds: median and percentiles."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket. `denied_by_limits` counts calls of every kind that a rate limit denied."""

    at: datetime
    results: dict[str, int]
    times: Times | None
    denied_by_limits: int


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The figures of a span, counted at `counted_at`."""

    counted_at: datetime
    points: Sequence[Point]
    outcomes: dict[Outcome, int]
    times: Times | None
    patterns: Sequence[Pattern]
    admins: Sequence[Activity]

    @property
    def attempts(self) -> int:
        """Return the number of attempts, without idempotent replays."""
        return sum(self.outcomes.values())

    @property
    def success_rate(self) -> float | None:
        """Return the share of successful attempts, 0 to 1; None if there were no attempts."""
        return self.outcomes[Outcome.SUCCESS] / self.attempts if self.attempts else None

    @property
    def denied_by_limits(self) -> int:
        """Return how many calls a rate limit denied."""
        return sum(point.denied_by_limits for point in self.points)


def monitor(span: MonitoredSpan) -> Monitoring:
    """Return the figures of a span that ends with the current hour, quarter of a day or day.

    They are at most `FIGURES_TTL_S` old.
    """
    return remember(f"monitoring.{span}", lambda: _count(span))


def _count(span: MonitoredSpan) -> Monitoring:
    length, count = BUCKETS[span]
    at = now()
    begin = _floor(at, length) - length * (count - 1)
    bucket = func.date_bin(length, AuditEvent.at, begin)
    created, times = _measure(bucket, begin)
    rejected, patterns = _count_rejected(bucket, begin)
    limited = _count_limited(bucket, begin)
    outcomes = dict.fromkeys(Outcome, 0)
    points = []
    for number in range(count):
        moment = begin + number * length
        by_outcome = rejected.get(moment, {}) | {Outcome.SUCCESS: created.get(moment, (0, None))[0]}
        results = dict.fromkeys(SERIES, 0)
        for outcome, attempts in by_outcome.items():
            outcomes[outcome] += attempts
            results[RESULTS[outcome]] += attempts
        points.append(
            Point(moment, results, created.get(moment, (0, None))[1], limited.get(moment, 0))
        )
    return Monitoring(at, points, outcomes, times, patterns, list_activity(begin))


def _floor(at: datetime, length: timedelta) -> datetime:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (at - midnight) // length * length


def _measure(
    bucket: ColumnElement[Any], begin: datetime
) -> tuple[dict[datetime, tuple[int, Times]], Times | None]:
    """Return the clients created and their processing times: by bucket, and of the whole span."""
    quantiles = func.percentile_cont(list(QUANTILES)).within_group(cast(AuditEvent.ms, Float))
    query = select(bucket, func.count(), quantiles).where(
        AuditEvent.event == Event.CLIENT_CREATED, AuditEvent.at >= begin
    )
    rows = db.session.execute(query.group_by(func.grouping_sets(bucket, tuple_()))).all()
    found = {moment: (count, _times(values)) for moment, count, values in rows if count}
    _, times = found.pop(None, (0, None))
    return found, times


def _times(values: Sequence[float]) -> Times:
    return Times(*(round(value, 1) for value in values))


def _count_rejected(
    bucket: ColumnElement[Any], begin: datetime
) -> tuple[dict[datetime, dict[Outcome, int]], list[Pattern]]:
    """Return the rejected attempts by bucket and outcome, and their most frequent causes."""
    code, names = AuditEvent.details["code"].astext, AuditEvent.details["fields"].astext
    query = select(bucket, AuditEvent.status, code, names, func.count()).where(
        AuditEvent.event == Event.CLIENT_CREATE_DENIED, AuditEvent.at >= begin
    )
    by_bucket: dict[datetime, dict[Outcome, int]] = {}
    patterns = []
    rows = db.session.execute(query.group_by(bucket, AuditEvent.status, code, names))
    for moment, outcome, cause, fields, count in rows:
        outcomes = by_bucket.setdefault(moment, {})
        outcomes[outcome] = outcomes.get(outcome, 0) + count
        patterns.append(Pattern(cause, fields, count))
    return by_bucket, top_patterns(patterns)


def _count_limited(bucket: ColumnElement[Any], begin: datetime) -> dict[datetime, int]:
    query = select(bucket, func.count()).where(
        AuditEvent.status == Outcome.RATE_LIMITED, AuditEvent.at >= begin
    )
    return {row[0]: row[1] for row in db.session.execute(query.group_by(bucket))}
