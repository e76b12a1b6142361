"""The figures of the overview: what was counted in the last day, week and month."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Float, cast, func, lateral, select, true

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.models import (
    Admin,
    AuditEvent,
    Client,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    Outcome,
    Status,
    Tier,
    now,
)

DAY, WEEK = timedelta(days=1), timedelta(days=7)
DAYS = 30
EXPIRING = timedelta(days=14)
"""So far ahead the list of expiring keys looks too, unless it is asked for another span."""
MAX_PATTERNS, MAX_ADMINS, MAX_EVENTS = 5, 10, 10
QUANTILES = (0.5, 0.95)
RESULTS = {
    Outcome.SUCCESS: "success",
    Outcome.DUPLICATE: "duplicate",
    Outcome.INVALID: "invalid",
    Outcome.RATE_LIMITED: "limited",
    Outcome.UNAUTHORIZED: "denied",
    Outcome.FORBIDDEN: "denied",
    Outcome.ERROR: "error",
}
"""Outcome of an attempt → what the overview counts it as."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What creates were refused for, how often; `fields` are comma-separated."""

    code: str
    fields: str | None
    count: int


class Activity(NamedTuple):
    """What an admin did in a week."""

    admin_id: UUID
    email: str
    events: int
    creates: int
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Creates:
    """How the attempts to create a client ended in a span, and how long the good ones took."""

    results: dict[str, int]
    patterns: list[Pattern]
    p50_ms: float | None
    p95_ms: float | None

    @property
    def attempts(self) -> int:
        """Return how many there were, replays of an earlier answer not counted."""
        return sum(self.results.values())

    @property
    def success_rate(self) -> float | None:
        """Return which part of the attempts made a client; None if there were none."""
        return round(self.results["success"] / self.attempts, 4) if self.attempts else None


@dataclass(frozen=True, slots=True)
class Overview:
    """All figures of the overview."""

    by_status: dict[Status, int]
    by_tier: dict[Tier, int]
    keys_by_status: dict[KeyStatus, int]
    keys_expiring: int
    per_day: list[tuple[date, int]]
    last_24_h: Creates
    last_7_d: Creates
    admins: Sequence[Activity]
    events: Sequence[AuditEvent]

    @property
    def clients(self) -> int:
        """Return how many clients there are."""
        return sum(self.by_status.values())

    @property
    def keys(self) -> int:
        """Return how many exchange API keys there are whose secrets are not destroyed."""
        return sum(self.keys_by_status.values())


def overview() -> Overview:
    """Return the figures as they stand."""
    moment = now()
    by_status, by_tier = _clients()
    keys_by_status, keys_expiring = _keys(moment)
    last_24_h, last_7_d = _creates(moment)
    newest = select(AuditEvent).order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
    return Overview(
        by_status=by_status,
        by_tier=by_tier,
        keys_by_status=keys_by_status,
        keys_expiring=keys_expiring,
        per_day=_per_day(moment),
        last_24_h=last_24_h,
        last_7_d=last_7_d,
        admins=_activity(moment),
        events=db.session.scalars(newest.limit(MAX_EVENTS)).all(),
    )


def _clients() -> tuple[dict[Status, int], dict[Tier, int]]:
    counted = select(Client.status, Client.tier, func.count()).group_by(Client.status, Client.tier)
    by_status, by_tier = dict.fromkeys(Status, 0), dict.fromkeys(Tier, 0)
    for status, tier, count in db.session.execute(counted):
        by_status[status] += count
        by_tier[tier] += count
    return by_status, by_tier


def _keys(moment: datetime) -> tuple[dict[KeyStatus, int], int]:
    """Return how many keys have each status, and how many of those in use expire soon."""
    is_due = ExchangeAPIKey.expires_at <= moment + EXPIRING
    is_due &= ExchangeAPIKey.stage.in_([KeyStage.LIVE, KeyStage.CANDIDATE])
    counted = (
        select(ExchangeAPIKey.status, func.count(), func.count().filter(is_due))
        .where(ExchangeAPIKey.stage != KeyStage.DESTROYED)
        .group_by(ExchangeAPIKey.status)
    )
    # A revoked key is a destroyed one.
    by_status = dict.fromkeys(KeyStatus, 0)
    del by_status[KeyStatus.REVOKED]
    expiring = 0
    for status, count, due in db.session.execute(counted):
        by_status[status] = count
        expiring += due
    return by_status, expiring


def _per_day(moment: datetime) -> list[tuple[date, int]]:
    """Return each of the last days in UTC, today included, and how many clients it brought.

    A count per day reads the index alone; grouping by the day would work out every row's.
    """
    today = datetime.combine(moment.astimezone(UTC).date(), time(), UTC)
    first = today - DAY * (DAYS - 1)
    day = func.generate_series(first, today, DAY).column_valued("day")
    inside = (Client.created_at >= day) & (Client.created_at < day + DAY)
    count = select(func.count()).select_from(Client).where(inside).scalar_subquery()
    counted = db.session.execute(select(day, count).order_by(day))
    return [(one.astimezone(UTC).date(), found) for one, found in counted]


def _creates(moment: datetime) -> tuple[Creates, Creates]:
    """Return what came of creates in the last day and the last week, each row read once."""
    week = AuditEvent.at >= moment - WEEK
    is_new = AuditEvent.at >= moment - DAY
    quantile = func.percentile_cont(list(QUANTILES)).within_group(cast(AuditEvent.ms, Float))
    created = select(
        func.count().filter(is_new), quantile.filter(is_new), func.count(), quantile
    ).where(AuditEvent.event == Event.CLIENT_CREATED, week)
    code, names = AuditEvent.details["code"].astext, AuditEvent.details["fields"].astext
    refused = (
        select(AuditEvent.status, code, names, func.count().filter(is_new), func.count())
        .where(AuditEvent.event == Event.CLIENT_CREATE_DENIED, week)
        .group_by(AuditEvent.status, code, names)
    )
    day_count, day_ms, week_count, week_ms = db.session.execute(created).one()
    rows = db.session.execute(refused).all()
    return (
        _span(day_count, day_ms, [(row[0], Pattern(row[1], row[2], row[3])) for row in rows]),
        _span(week_count, week_ms, [(row[0], Pattern(row[1], row[2], row[4])) for row in rows]),
    )


def _span(created: int, ms: list[float] | None, refused: list[tuple[Outcome, Pattern]]) -> Creates:
    results = dict.fromkeys(RESULTS.values(), 0) | {"success": created}
    patterns: Counter[tuple[str, str | None]] = Counter()
    for outcome, pattern in refused:
        results[RESULTS[outcome]] += pattern.count
        patterns[pattern.code, pattern.fields] += pattern.count
    most = [Pattern(*what, count) for what, count in patterns.most_common(MAX_PATTERNS) if count]
    p50, p95 = (round(one, 1) for one in ms) if ms else (None, None)
    return Creates(results, most, p50, p95)


def _activity(moment: datetime) -> list[Activity]:
    """Return the busiest admins of the week; each one's events are a stretch of an index."""
    is_create = AuditEvent.event == Event.CLIENT_CREATED
    mine = lateral(
        select(
            func.count().label("events"),
            func.count().filter(is_create).label("creates"),
            func.max(AuditEvent.at).label("last_seen_at"),
        ).where(AuditEvent.admin_id == Admin.id, AuditEvent.at >= moment - WEEK)
    )
    found = (
        select(Admin.id, Admin.email, mine.c.events, mine.c.creates, mine.c.last_seen_at)
        .join(mine, true())
        .where(mine.c.events > 0)
        .order_by(mine.c.events.desc(), Admin.email)
        .limit(MAX_ADMINS)
    )
    return [Activity(*row) for row in db.session.execute(found)]
