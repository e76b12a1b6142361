"""The figures of the overview: counts of the last day, week and month."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Float, cast, func, lateral, select, true

from pipelabs.audit.events import Event
from pipelabs.core.cache import remember
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
"""The default span of the list of expiring keys, too."""
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
"""Outcome of a creation attempt → its name in the overview."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A cause of denied creations and its count; `fields` are comma-separated."""

    code: str
    fields: str | None
    count: int


class Activity(NamedTuple):
    """The activity of an admin in a span."""

    admin_id: UUID
    email: str
    events: int
    creates: int
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Creates:
    """The results of creation attempts in a span, and the latency of the successful ones."""

    results: dict[str, int]
    patterns: list[Pattern]
    p50_ms: float | None
    p95_ms: float | None

    @property
    def attempts(self) -> int:
        """Return the number of attempts, without idempotent replays."""
        return sum(self.results.values())

    @property
    def success_rate(self) -> float | None:
        """Return the share of successful attempts, 0 to 1; None if there were no attempts."""
        return round(self.results["success"] / self.attempts, 4) if self.attempts else None


@dataclass(frozen=True, slots=True)
class Overview:
    """All figures of the overview. All but the latest events were counted at `counted_at`."""

    counted_at: datetime
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
        """Return the number of clients."""
        return sum(self.by_status.values())

    @property
    def keys(self) -> int:
        """Return the number of exchange API keys, without destroyed ones."""
        return sum(self.keys_by_status.values())


def get_overview() -> Overview:
    """Return the figures, at most `FIGURES_TTL_S` old, and the latest events."""
    newest = select(AuditEvent).order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
    events = db.session.scalars(newest.limit(MAX_EVENTS)).all()
    return replace(remember("overview", _count_figures), events=events)


def _count_figures() -> Overview:
    at = now()
    by_status, by_tier = _count_clients()
    keys_by_status, keys_expiring = _count_keys(at)
    last_24_h, last_7_d = _summarize_creates(at)
    return Overview(
        counted_at=at,
        by_status=by_status,
        by_tier=by_tier,
        keys_by_status=keys_by_status,
        keys_expiring=keys_expiring,
        per_day=_count_per_day(at),
        last_24_h=last_24_h,
        last_7_d=last_7_d,
        admins=list_activity(at - WEEK),
        events=[],
    )


def _count_clients() -> tuple[dict[Status, int], dict[Tier, int]]:
    query = select(Client.status, Client.tier, func.count()).group_by(Client.status, Client.tier)
    by_status, by_tier = dict.fromkeys(Status, 0), dict.fromkeys(Tier, 0)
    for status, tier, count in db.session.execute(query):
        by_status[status] += count
        by_tier[tier] += count
    return by_status, by_tier


def _count_keys(at: datetime) -> tuple[dict[KeyStatus, int], int]:
    """Return the number of keys by status, and of live keys and replacements that expire soon."""
    is_due = ExchangeAPIKey.expires_at <= at + EXPIRING
    is_due &= ExchangeAPIKey.stage.in_([KeyStage.LIVE, KeyStage.CANDIDATE])
    query = (
        select(ExchangeAPIKey.status, func.count(), func.count().filter(is_due))
        .where(ExchangeAPIKey.stage != KeyStage.DESTROYED)
        .group_by(ExchangeAPIKey.status)
    )
    # Revoked keys are destroyed.
    by_status = dict.fromkeys(KeyStatus, 0)
    del by_status[KeyStatus.REVOKED]
    expiring = 0
    for status, count, due in db.session.execute(query):
        by_status[status] = count
        expiring += due
    return by_status, expiring


def _count_per_day(at: datetime) -> list[tuple[date, int]]:
    """Return the last days in UTC, including today, and the number of clients created on each.

    A count per day reads only the index. Grouping would have to compute the day of every row.
    """
    today = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    first = today - DAY * (DAYS - 1)
    day = func.generate_series(first, today, DAY).column_valued("day")
    is_created_then = (Client.created_at >= day) & (Client.created_at < day + DAY)
    count = select(func.count()).select_from(Client).where(is_created_then).scalar_subquery()
    rows = db.session.execute(select(day, count).order_by(day))
    return [(start.astimezone(UTC).date(), clients) for start, clients in rows]


def _summarize_creates(at: datetime) -> tuple[Creates, Creates]:
    """Return the results of the last day and of the last week, reading each row once."""
    is_in_week = AuditEvent.at >= at - WEEK
    is_in_day = AuditEvent.at >= at - DAY
    quantile = func.percentile_cont(list(QUANTILES)).within_group(cast(AuditEvent.ms, Float))
    created = select(
        func.count().filter(is_in_day), quantile.filter(is_in_day), func.count(), quantile
    ).where(AuditEvent.event == Event.CLIENT_CREATED, is_in_week)
    code, names = AuditEvent.details["code"].astext, AuditEvent.details["fields"].astext
    denied = (
        select(AuditEvent.status, code, names, func.count().filter(is_in_day), func.count())
        .where(AuditEvent.event == Event.CLIENT_CREATE_DENIED, is_in_week)
        .group_by(AuditEvent.status, code, names)
    )
    day_count, day_ms, week_count, week_ms = db.session.execute(created).one()
    rows = db.session.execute(denied).all()
    return (
        _build_creates(
            day_count, day_ms, [(row[0], Pattern(row[1], row[2], row[3])) for row in rows]
        ),
        _build_creates(
            week_count, week_ms, [(row[0], Pattern(row[1], row[2], row[4])) for row in rows]
        ),
    )


def _build_creates(
    created: int, ms: list[float] | None, denied: list[tuple[Outcome, Pattern]]
) -> Creates:
    results = dict.fromkeys(RESULTS.values(), 0) | {"success": created}
    for outcome, pattern in denied:
        results[RESULTS[outcome]] += pattern.count
    top = top_patterns([pattern for _, pattern in denied])
    p50, p95 = (round(value, 1) for value in ms) if ms else (None, None)
    return Creates(results, top, p50, p95)


def top_patterns(patterns: Iterable[Pattern]) -> list[Pattern]:
    """Return the most frequent causes, each once."""
    counts: Counter[tuple[str, str | None]] = Counter()
    for pattern in patterns:
        counts[pattern.code, pattern.fields] += pattern.count
    return [Pattern(*cause, count) for cause, count in counts.most_common(MAX_PATTERNS) if count]


def list_activity(since: datetime) -> list[Activity]:
    """Return the most active admins since then; counting an admin's events reads one index."""
    is_create = AuditEvent.event == Event.CLIENT_CREATED
    activity = lateral(
        select(
            func.count().label("events"),
            func.count().filter(is_create).label("creates"),
            func.max(AuditEvent.at).label("last_seen_at"),
        ).where(AuditEvent.admin_id == Admin.id, AuditEvent.at >= since)
    )
    query = (
        select(Admin.id, Admin.email, *activity.c)
        .join(activity, true())
        .where(activity.c.events > 0)
        .order_by(activity.c.events.desc(), Admin.email)
        .limit(MAX_ADMINS)
    )
    return [Activity(*row) for row in db.session.execute(query)]
