"""Figures of the whole desk that monitoring reads every few seconds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select, text

from pipelabs.core.cache import remember
from pipelabs.core.db import db
from pipelabs.core.job_queue import JobCounts, count_jobs
from pipelabs.core.settings import setting
from pipelabs.machines.endings import is_live
from pipelabs.models import (
    AuditFileMark,
    ExchangeAPIKey,
    KeyStage,
    Lease,
    LeaseEnd,
    Stop,
    now,
)
from pipelabs.vault import rotation

TIMEOUT = text("SET LOCAL statement_timeout = 1000")
"""Milliseconds. Monitoring must not wait for a busy database, or keep it busy."""

NO_FAILURE = "none"


class Gauges(NamedTuple):
    """What is so at this moment. Ages are in seconds.

    `api_keys` counts keys by status and by why their last examination failed. `unacknowledged_s` is
    how long ago a stop ended the oldest lease whose machine has not said that it has dropped the
    key, 0 if there is none. `audit_file_lag_s` is how long ago the audit file of this instance was
    known to have every line, None if it never was.
    """

    api_keys: Mapping[tuple[str, str], int]
    missing_ring_versions: int
    live_leases: int
    raised_stops: int
    unacknowledged_s: float
    audit_file_lag_s: float | None
    jobs: JobCounts


def read_gauges() -> Gauges:
    """Read all figures. Raise SQLAlchemy's errors.

    Keys are counted every `FIGURES_TTL_S` only, because all are read. Other queries use an index.
    """
    db.session.execute(TIMEOUT)
    leases, stops, ended_at, marked_at = db.session.execute(_moments()).one()
    return Gauges(
        api_keys=remember("gauges.api_keys", _count_keys),
        missing_ring_versions=len(rotation.missing_kek_versions()),
        live_leases=leases,
        raised_stops=stops,
        unacknowledged_s=_age_s(ended_at) or 0.0,
        audit_file_lag_s=_age_s(marked_at),
        jobs=count_jobs(),
    )


def _count_keys() -> dict[tuple[str, str], int]:
    columns = ExchangeAPIKey.status, func.coalesce(ExchangeAPIKey.failure, NO_FAILURE)
    query = select(*columns, func.count()).group_by(*columns)
    rows = db.session.execute(query.where(ExchangeAPIKey.stage != KeyStage.DESTROYED))
    return {(status.value, failure): count for status, failure, count in rows}


def _moments() -> Select[Any]:
    """Return the query for what has one row each, as one statement."""
    leases = select(func.count()).select_from(Lease).where(*is_live())
    stops = select(func.count()).select_from(Stop).where(Stop.lifted_at.is_(None))
    ended_at = select(func.min(Lease.ended_at)).where(
        Lease.end_reason == LeaseEnd.STOPPED,
        Lease.acknowledged_at.is_(None),
        Lease.held_until > now(),
    )
    marked_at = select(AuditFileMark.marked_at).where(AuditFileMark.instance == setting("INSTANCE"))
    return select(
        leases.scalar_subquery(),
        stops.scalar_subquery(),
        ended_at.scalar_subquery(),
        marked_at.scalar_subquery(),
    )


def _age_s(moment: datetime | None) -> float | None:
    return (now() - moment).total_seconds() if moment else None
