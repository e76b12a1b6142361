"""The page of clients by exchanges: where they are quoted, and whether the desk may trade there."""

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.core.pagination import MAX_COUNTED
from pipelabs.coverage.queries import count_coverage, list_coverage
from pipelabs.coverage.rules import CoverageFilter
from pipelabs.coverage.schemas import CoverageQuery
from pipelabs.exchanges import registry
from pipelabs.markets.markets import list_exchanges_in_use
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import query

bp = OperationBlueprint("coverage", __name__)
FILTERS = {
    CoverageFilter.GAP: "Only gaps",
    CoverageFilter.NO_KEY: "No key",
    CoverageFilter.KEY_UNUSABLE: "Key not usable",
    CoverageFilter.COVERED: "Verified key",
    CoverageFilter.NOT_QUOTED: "Key, not quoted",
}
"""Filter → its label, in the order of the page."""


@bp.operation("GET", "/coverage", permission=Permission.COVERAGE_READ)
def index() -> ResponseReturnValue:
    """Show in how many markets each client is quoted on each exchange, and who may be traded."""
    asked = query(CoverageQuery)
    coverage = list_coverage(asked, asked["size"], asked.get("cursor"))
    slugs = {*list_exchanges_in_use(), *coverage.totals, asked.get("exchange")}
    return render_template(
        "admin/coverage/index.html",
        coverage=coverage,
        counts=count_coverage(),
        max_counted=MAX_COUNTED,
        asked=asked,
        choices=FILTERS,
        # In the order of their names.
        exchanges={one.slug: one.name for one in registry.known().values() if one.slug in slugs},
    )


@bp.operation("GET", "/matrix", permission=Permission.COVERAGE_READ, status=301)
def moved() -> ResponseReturnValue:
    """Redirect the page that this one replaces."""
    kept: dict[str, Any] = {
        name: request.args[name] for name in ("q", "exchange") if name in request.args
    }
    return redirect(url_for("admin.coverage.index", **kept), 301)
