"""Grants: which keys a machine may lease. A second owner approves each one."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.audit.events import Event
from pipelabs.core.errors import InvalidTransition, Stale
from pipelabs.machines import grants
from pipelabs.machines.commands import NewGrant
from pipelabs.machines.schemas.grants import GrantIn, GrantList, GrantShown, GrantsQuery
from pipelabs.machines.schemas.machines import MachineChange
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("grants", __name__, url_prefix="/admin/grants")
OVER = InvalidTransition(grants.OVER.format(status="ended"))
STALE = Stale("The grant has changed: it is at version 4, not 3.")


@bp.operation("GET", "", permission=Permission.MACHINES_READ, query=GrantsQuery, response=GrantList)
def index(query: Mapping[str, Any]) -> Reply:
    """List grants, newest first."""
    page = grants.list_grants(query, query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "POST",
    "",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.GRANT_CHANGE_DENIED,
    replayed_event=Event.GRANT_REQUEST_REPLAYED,
    body=GrantIn,
    response=GrantShown,
    status=201,
    has_etag=True,
)
def request_grant(data: NewGrant) -> Reply:
    """Request a grant. It selects nothing before another owner has approved exactly these terms.

    It can't be edited: end it and request another.
    """
    grant = grants.request_grant(data, current_actor())
    return reply(
        "Grant requested",
        location=url_for("api.grants.show", grant_id=grant.id),
        etag=str(grant.version),
        grant=grant,
    )


@bp.operation(
    "GET",
    "/<uuid:grant_id>",
    permission=Permission.MACHINES_READ,
    response=GrantShown,
    has_etag=True,
)
def show(grant_id: UUID) -> Reply:
    """Show one grant. The ETag is its version."""
    grant = grants.get_grant(grant_id)
    return reply(grant=grant, etag=str(grant.version))


@bp.operation(
    "POST",
    "/<uuid:grant_id>/end",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.GRANT_CHANGE_DENIED,
    body=MachineChange,
    response=GrantShown,
    has_etag=True,
    errors=(OVER, STALE),
)
def end(data: Mapping[str, Any], grant_id: UUID) -> Reply:
    """End a grant and its leases. The machine has to drop the keys."""
    grant = grants.end_grant(grant_id, data["reason"], current_actor(), version=expected_version())
    return reply("Grant ended", grant=grant, etag=str(grant.version))
