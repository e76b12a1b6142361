"""The Status page: the health of the service, and what became of creations over a span."""

from datetime import timedelta

from flask import render_template
from flask.typing import ResponseReturnValue

from pipelabs.activity.reasons import REASONS
from pipelabs.core.job_queue import count_jobs
from pipelabs.models import Outcome, Permission
from pipelabs.overview import queries as overview
from pipelabs.overview.monitoring import BUCKETS, SERIES, MonitoredSpan, Monitoring, monitor
from pipelabs.overview.schemas import StatusQuery
from pipelabs.web import charts, health
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import query

bp = OperationBlueprint("status", __name__, url_prefix="/status")
PARTS = {
    "postgresql": "PostgreSQL",
    "migrations": "Migrations",
    "pool": "Connection pool",
    "redis": "Redis",
    "replica": "Replica",
    "vault": "Vault keys",
    "jobs": "Background jobs",
    "audit_file": "Audit file",
    "proxy": "Proxy",
}
"""Component of the service → its name on the page."""
SPANS = {
    MonitoredSpan.DAY: ("24 hours", "per hour, UTC"),
    MonitoredSpan.WEEK: ("7 days", "per 6 hours, UTC"),
    MonitoredSpan.MONTH: ("30 days", "per day, UTC"),
}
"""Span → its name, and what one bar of its charts is."""
OUTCOMES = {
    Outcome.SUCCESS: ("Created", "good"),
    Outcome.DUPLICATE: ("Duplicate", "warn"),
    Outcome.INVALID: ("Invalid", "warn"),
    Outcome.RATE_LIMITED: ("Rate limited", "warn"),
    Outcome.UNAUTHORIZED: ("Not signed in", "bad"),
    Outcome.FORBIDDEN: ("Not allowed", "bad"),
    Outcome.ERROR: ("Error", "bad"),
}
"""Outcome of an attempt → its name and the kind of its badge."""


@bp.operation("GET", "", permission=Permission.STATUS_READ)
def index() -> ResponseReturnValue:
    """Show the health of the service, clients and keys by status, and creations over a span."""
    span = query(StatusQuery)["span"]
    figures, monitoring = overview.get_overview(), monitor(span)
    length = BUCKETS[span].length
    return render_template(
        "admin/status/index.html",
        overview=figures,
        chart=charts.daily_bar_chart([(day, [count]) for day, count in figures.per_day]),
        monitoring=monitoring,
        span=span,
        spans=SPANS,
        outcomes=OUTCOMES,
        attempts=_draw_attempts(monitoring, length),
        times=_draw_times(monitoring, length),
        parts=[(name, PARTS[name], state) for name, state in health.check().parts.items()],
        pool=health.pool_use(),
        jobs=count_jobs(),
        reasons=REASONS,
    )


def _draw_attempts(monitoring: Monitoring, length: timedelta) -> charts.BarChart:
    """Return the chart of what became of attempts."""
    points = monitoring.points
    return charts.timed_bar_chart(
        [(point.at, [point.results[name] for name in SERIES]) for point in points], length
    )


def _draw_times(monitoring: Monitoring, length: timedelta) -> charts.BarChart:
    """Return the chart of processing times, which has no bar where nothing was created."""
    points = monitoring.points
    return charts.timed_bar_chart(
        [(point.at, point.times or ()) for point in points], length, are_levels=True
    )
