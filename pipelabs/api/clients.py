"""Clients over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import g, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit import Event
from pipelabs.errors import Duplicate
from pipelabs.extensions import limit_creates
from pipelabs.models import Permission
from pipelabs.schemas.clients import ClientCreated, ClientIn, ClientShown
from pipelabs.services import clients
from pipelabs.web import reply
from pipelabs.web.auth import needs
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.examples import ID
from pipelabs.web.idempotency import idempotent
from pipelabs.web.refusals import raises

bp = StrictBlueprint("clients", __name__, url_prefix="/admin")
TAKEN = Duplicate(
    "Client already exists",
    fields={"wallet_address": [clients.TAKEN["wallet_address"]]},
    existing={"wallet_address": ID},
)
"""An example for the document."""


@bp.post("/quick-client")
@needs(Permission.CLIENTS_WRITE, refused=Event.CLIENT_CREATE_REFUSED)
@limit_creates
@bp.arguments(ClientIn)
@idempotent(replayed=Event.CLIENT_CREATE_REPLAYED)
@bp.response(201, ClientCreated)
@raises(TAKEN)
def quick_client(data: Mapping[str, Any]) -> ResponseReturnValue:
    """Create a client in one call.

    `name` and `wallet_address` are required. A wallet and an e-mail address belong to one client
    each: 409 says in `error.existing` whose they are.
    """
    client, ms = clients.create_client(data, g.actor)
    return reply(
        "Client created successfully",
        status=201,
        location=url_for("api.clients.show", client_id=client.id),
        client=client,
        metadata={"created_by": g.actor.name, "processing_time_ms": ms},
    )


@bp.get("/clients/<uuid:client_id>")
@needs(Permission.CLIENTS_READ)
@bp.response(200, ClientShown, headers={"ETag": "ETag"})
def show(client_id: UUID) -> ResponseReturnValue:
    """Show one client; the ETag is its version."""
    client = clients.get_client(client_id)
    return reply(client=client, etag=str(client.version))
