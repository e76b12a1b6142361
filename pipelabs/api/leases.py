"""Leases: which machine holds which key."""

from collections.abc import Mapping
from typing import Any

from pipelabs.machines import history, leases
from pipelabs.machines.schemas.leases import HeldList, HeldQuery, LeaseList, LeasesQuery
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply

bp = OperationBlueprint("leases", __name__, url_prefix="/admin/leases")


@bp.operation("GET", "", permission=Permission.MACHINES_READ, query=LeasesQuery, response=LeaseList)
def index(query: Mapping[str, Any]) -> Reply:
    """List the last lease of each machine and key, the latest first.

    `GET /api/admin/leases/held` shows earlier times.
    """
    page = leases.list_leases(query, query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "GET", "/held", permission=Permission.MACHINES_READ, query=HeldQuery, response=HeldList
)
def held(query: Mapping[str, Any]) -> Reply:
    """List who held what at a time, from the audit trail."""
    return reply(data=history.list_held_at(query["at"], query))
