"""Clients over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.audit.events import Event
from pipelabs.clients import queries as client_queries
from pipelabs.clients import service as clients
from pipelabs.clients.batch import create_clients
from pipelabs.clients.schemas import (
    ClientChanges,
    ClientCreated,
    ClientIn,
    ClientPatch,
    ClientsCreated,
    ClientShown,
    ClientsIn,
    ClientsListed,
    ClientsQuery,
    NewClient,
    StatusIn,
)
from pipelabs.core.errors import Duplicate, InvalidTransition, Stale
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import etag_of, expected_version
from pipelabs.web.openapi.examples import ID
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("clients", __name__, url_prefix="/admin")
TAKEN = Duplicate(
    "Client already exists",
    fields={"wallet_address": [clients.TAKEN["wallet_address"]]},
    existing={"wallet_address": ID},
)
EMAIL_TAKEN = Duplicate(
    "Client already exists",
    fields={"email": [clients.TAKEN["email"]]},
    existing={"email": ID},
)
STALE = Stale("The client has changed: it is at version 4, not 3.")
OVER = InvalidTransition(clients.OFFBOARDED)
NO_WAY = "A client that is offboarded cannot become paused."
ILLEGAL = InvalidTransition(NO_WAY, fields={"status": [NO_WAY]})
TAKEN_IN_BATCH = Duplicate(
    "Client already exists",
    fields={"clients.3.wallet_address": [clients.TAKEN["wallet_address"]]},
    existing={"clients.3.wallet_address": ID},
)
"""Examples for the document."""
CREATION: dict[str, Any] = {
    "permission": Permission.CLIENTS_WRITE,
    "denied_event": Event.CLIENT_CREATE_DENIED,
    "budget": "create",
    "body": ClientIn,
    "replayed_event": Event.CLIENT_CREATE_REPLAYED,
    "response": ClientCreated,
    "status": 201,
    "has_etag": True,
    "errors": (TAKEN,),
}
"""The one creation, under the specification's path and under the conventional one."""


@bp.operation("POST", "/quick-client", **CREATION)
def quick_client(data: NewClient) -> Reply:
    """Create a client.

    `name` and `wallet_address` are required. No two clients can have the same wallet or e-mail
    address: 409 names the clients that have them in `error.existing`.
    """
    client, ms = clients.create_client(data, current_actor())
    return reply(
        "Client created successfully",
        location=url_for("api.clients.show", client_id=client["id"]),
        etag=str(client["version"]),
        client=client,
        metadata={"created_by": current_actor().name, "processing_time_ms": ms},
    )


@bp.operation("POST", "/clients", **CREATION)
def create(data: NewClient) -> Reply:
    """Create a client, like `quick-client` and from the same budget."""
    return quick_client(data)


@bp.operation(
    "POST",
    "/clients:batch",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_CREATE_DENIED,
    budget="batch",
    body=ClientsIn,
    replayed_event=Event.CLIENT_CREATE_REPLAYED,
    response=ClientsCreated,
    status=201,
    errors=(TAKEN_IN_BATCH,),
)
def create_batch(data: Mapping[str, Any]) -> Reply:
    """Create up to 500 clients: all of them, or none if one is wrong.

    Errors name the place in the list, such as `clients.3.wallet_address`. Fields that can't be read
    are reported first, taken and repeated values after that. The body has at most 256 KiB.
    """
    created, ms = create_clients(data["clients"], current_actor())
    return reply(
        f"{len(created)} client{'s' * (len(created) != 1)} created",
        location=url_for("api.clients.index"),
        clients=created,
        metadata={"created_by": current_actor().name, "processing_time_ms": ms},
    )


@bp.operation(
    "GET",
    "/clients",
    permission=Permission.CLIENTS_READ,
    query=ClientsQuery,
    response=ClientsListed,
)
def index(query: Mapping[str, Any]) -> Reply:
    """List clients, a page at a time.

    `total` of the first page is exact up to 10,000. Above, `is_capped` is true. Follow `page.next`
    with the same filters and the same sort.
    """
    page = client_queries.list_clients(
        query, query["sort"], query["size"], query.get("cursor"), has_symbols=True
    )
    return reply(data=page.rows, page=page)


@bp.operation(
    "GET",
    "/clients/<uuid:client_id>",
    permission=Permission.CLIENTS_READ,
    response=ClientShown,
    has_etag=True,
)
def show(client_id: UUID) -> Reply:
    """Show one client. The ETag is its version."""
    client = client_queries.read_client(client_id)
    return reply(client=client, etag=etag_of(client.version, client.symbols))


@bp.operation(
    "PATCH",
    "/clients/<uuid:client_id>",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_UPDATE_DENIED,
    body=ClientPatch,
    response=ClientShown,
    has_etag=True,
    errors=(
        EMAIL_TAKEN,
        OVER,
        STALE,
    ),
)
def update(data: ClientChanges, client_id: UUID) -> Reply:
    """Change some fields of a client.

    Omitted fields stay as they are. Null empties `email` and `notes`. The wallet can't be
    changed: create another client for another wallet.
    """
    client = clients.update_client(client_id, data, current_actor(), version=expected_version())
    return reply(client=client, etag=etag_of(client.version, client.symbols))


@bp.operation(
    "POST",
    "/clients/<uuid:client_id>/status",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_STATUS_CHANGE_DENIED,
    body=StatusIn,
    replayed_event=Event.CLIENT_STATUS_CHANGE_REPLAYED,
    response=ClientShown,
    has_etag=True,
    errors=(
        ILLEGAL,
        STALE,
    ),
)
def change_status(data: Mapping[str, Any], client_id: UUID) -> Reply:
    """Change the status of a client.

    Active clients can be paused and paused ones reactivated. Both can be suspended. Suspended
    clients can only be reactivated or offboarded. Offboarding can't be undone.
    """
    version = expected_version()
    client = clients.change_status(client_id, data["status"], current_actor(), version=version)
    return reply(client=client, etag=etag_of(client.version, client.symbols))
