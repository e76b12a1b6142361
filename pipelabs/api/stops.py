"""Stops: no machine may hold the keys in their scope."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.approvals.schemas import ApprovalShown
from pipelabs.audit.events import Event
from pipelabs.core.errors import InvalidTransition, Stale
from pipelabs.machines import stops
from pipelabs.machines.commands import NewStop
from pipelabs.machines.schemas.stops import (
    StopIn,
    StopList,
    StopPreview,
    StopRaised,
    StopShown,
    StopsQuery,
)
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("stops", __name__, url_prefix="/admin/stops")
STALE = Stale("The stop has changed: it is at version 2, not 1.")
LIFTED = InvalidTransition(stops.LIFTED)


@bp.operation("GET", "", permission=Permission.MACHINES_READ, query=StopsQuery, response=StopList)
def index(query: Mapping[str, Any]) -> Reply:
    """List stops, newest first."""
    page = stops.list_stops(query.get("is_lifted"), query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "POST",
    "",
    permission=Permission.STOPS_RAISE,
    denied_event=Event.STOP_CHANGE_DENIED,
    replayed_event=Event.STOP_RAISE_REPLAYED,
    body=StopIn,
    response=StopRaised,
    status=201,
    has_etag=True,
)
def raise_stop(data: NewStop) -> Reply:
    """Stop everything, an exchange, a client, a key or a machine, at once.

    Machines drop the keys within a second and acknowledge that: see `acknowledged_at` of the
    leases. Two owners have to lift the stop.
    """
    stop, reach = stops.raise_stop(data, current_actor())
    return reply(
        "Stop raised",
        location=url_for("api.stops.show", stop_id=stop.id),
        etag=str(stop.version),
        stop=stop,
        reach=reach,
    )


@bp.operation(
    "POST",
    "/preview",
    permission=Permission.STOPS_RAISE,
    denied_event=Event.STOP_CHANGE_DENIED,
    body=StopIn,
    response=StopPreview,
)
def preview(data: NewStop) -> Reply:
    """Show how many leases a stop would end, and on how many machines."""
    return reply(reach=stops.preview(data))


@bp.operation(
    "GET",
    "/<uuid:stop_id>",
    permission=Permission.MACHINES_READ,
    response=StopShown,
    has_etag=True,
)
def show(stop_id: UUID) -> Reply:
    """Show one stop. The ETag is its version."""
    stop = stops.get_stop(stop_id)
    return reply(stop=stop, etag=str(stop.version))


@bp.operation(
    "POST",
    "/<uuid:stop_id>/lift",
    permission=Permission.STOPS_LIFT,
    denied_event=Event.STOP_CHANGE_DENIED,
    response=ApprovalShown,
    errors=(LIFTED, STALE),
)
def lift(stop_id: UUID) -> Reply:
    """Request that a stop is lifted. Another owner has to approve it."""
    approval = stops.request_lift(stop_id, current_actor(), version=expected_version())
    return reply("Lift requested", approval=approval)
