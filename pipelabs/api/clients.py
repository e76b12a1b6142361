"""Clients over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import g, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit.events import Event
from pipelabs.clients import queries as client_queries
from pipelabs.clients import service as clients
from pipelabs.clients.schemas import (
    ClientChanges,
    ClientCreated,
    ClientIn,
    ClientPatch,
    ClientShown,
    ClientsListed,
    ClientsQuery,
    NewClient,
    StatusIn,
)
from pipelabs.core.errors import Duplicate, InvalidTransition, Stale
from pipelabs.models import Permission
from pipelabs.web.auth import needs
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.envelope import reply
from pipelabs.web.etags import etag_of, expected_version
from pipelabs.web.idempotency import idempotent
from pipelabs.web.openapi.errors import raises
from pipelabs.web.openapi.examples import ID
from pipelabs.web.rate_limit import limit_creates

bp = StrictBlueprint("clients", __name__, url_prefix="/admin")
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
"""Examples for the document."""


@bp.post("/quick-client")
@needs(Permission.CLIENTS_WRITE, refused=Event.CLIENT_CREATE_DENIED)
@limit_creates
@bp.arguments(ClientIn)
@idempotent(replayed=Event.CLIENT_CREATE_REPLAYED)
@bp.response(201, ClientCreated)
@raises(TAKEN)
def quick_client(new: NewClient) -> ResponseReturnValue:
    """Create a client.

    `name` and `wallet_address` are required. No two clients can have the same wallet or e-mail
    address: 409 names the clients that have them in `error.existing`.
    """
    client, ms = clients.create_client(new, g.actor)
    return reply(
        "Client created successfully",
        status=201,
        location=url_for("api.clients.show", client_id=client.id),
        client=client,
        metadata={"created_by": g.actor.name, "processing_time_ms": ms},
    )


@bp.get("/clients")
@needs(Permission.CLIENTS_READ)
@bp.arguments(ClientsQuery, location="query")
@bp.response(200, ClientsListed)
def index(query: Mapping[str, Any]) -> ResponseReturnValue:
    """List clients, a page at a time.

    `total` is exact up to 10,000. Above, `is_capped` is true. Follow `page.next` with the same
    filters and the same sort.
    """
    page = client_queries.list_clients(
        query, query["sort"], query["size"], query.get("cursor"), has_symbols=True
    )
    return reply(clients=page.rows, page=page)


@bp.get("/clients/<uuid:client_id>")
@needs(Permission.CLIENTS_READ)
@bp.response(200, ClientShown, headers={"ETag": "ETag"})
def show(client_id: UUID) -> ResponseReturnValue:
    """Show one client. The ETag is its version."""
    client = clients.get_client(client_id)
    return reply(client=client, etag=etag_of(client.version, client.symbols))


@bp.patch("/clients/<uuid:client_id>")
@needs(Permission.CLIENTS_WRITE, refused=Event.CLIENT_UPDATE_DENIED)
@bp.arguments(ClientPatch)
@bp.response(200, ClientShown, headers={"ETag": "ETag"})
@raises(EMAIL_TAKEN, OVER, STALE)
def update(changes: ClientChanges, client_id: UUID) -> ResponseReturnValue:
    """Change some fields of a client.

    Omitted fields stay as they are. Null empties `email` and `notes`. The wallet can't be
    changed: create another client for another wallet.
    """
    client = clients.update_client(client_id, changes, g.actor, version=expected_version())
    return reply(client=client, etag=etag_of(client.version, client.symbols))


@bp.post("/clients/<uuid:client_id>/status")
@needs(Permission.CLIENTS_WRITE, refused=Event.CLIENT_STATUS_CHANGE_DENIED)
@bp.arguments(StatusIn)
@idempotent(replayed=Event.CLIENT_STATUS_CHANGE_REPLAYED)
@bp.response(200, ClientShown, headers={"ETag": "ETag"})
@raises(ILLEGAL, STALE)
def change_status(data: Mapping[str, Any], client_id: UUID) -> ResponseReturnValue:
    """Change the status of a client.

    Active clients can be paused and paused ones reactivated. Both can be suspended. Suspended
    clients can only be reactivated or offboarded. Offboarding can't be undone.
    """
    version = expected_version()
    client = clients.change_status(client_id, data["status"], g.actor, version=version)
    return reply(client=client, etag=etag_of(client.version, client.symbols))
