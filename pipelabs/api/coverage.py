"""The coverage over HTTP: where clients are quoted, and whether the desk may trade there."""

from collections.abc import Mapping
from typing import Any

from pipelabs.coverage.queries import count_coverage, list_coverage
from pipelabs.coverage.schemas import CoverageListed, CoverageQuery
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply

bp = OperationBlueprint("coverage", __name__, url_prefix="/admin")


@bp.operation(
    "GET",
    "/coverage",
    permission=Permission.COVERAGE_READ,
    query=CoverageQuery,
    response=CoverageListed,
)
def index(query: Mapping[str, Any]) -> Reply:
    """List clients and exchanges: markets quoted, and whether the desk may trade there.

    A page of clients at a time, by name, with the cells that match the filters. Without a filter
    these are the exchanges at which a client is quoted as active or has a live key. Keys of a
    testnet don't count.
    """
    coverage = list_coverage(query, query["size"], query.get("cursor"))
    return reply(
        data=coverage.rows,
        page=coverage.page,
        exchanges=list(coverage.totals),
        counts=count_coverage(),
    )
