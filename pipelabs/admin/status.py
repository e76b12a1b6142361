"""The Status page: the health of the service and the figures of creations."""

from flask import render_template
from flask.typing import ResponseReturnValue

from pipelabs.activity.reasons import REASONS
from pipelabs.core.job_queue import count_jobs
from pipelabs.models import Permission
from pipelabs.overview import queries as overview
from pipelabs.web import charts, health
from pipelabs.web.blueprints import OperationBlueprint

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


@bp.operation("GET", "", permission=Permission.STATUS_READ)
def index() -> ResponseReturnValue:
    """Show the health of the service, clients and keys by status, and the outcome of creations."""
    figures = overview.get_overview()
    return render_template(
        "admin/status/index.html",
        overview=figures,
        chart=charts.daily_bar_chart([(day, [count]) for day, count in figures.per_day]),
        parts=[(name, PARTS[name], state) for name, state in health.check().parts.items()],
        pool=health.pool_use(),
        jobs=count_jobs(),
        reasons=REASONS,
    )
