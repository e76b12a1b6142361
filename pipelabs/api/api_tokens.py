"""API tokens over HTTP: what an admin's own programs call with."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import g, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import api_tokens
from pipelabs.accounts.schemas.api_tokens import TokenCreated, TokenIn, TokenList, TokenShown
from pipelabs.audit.events import Event
from pipelabs.core.schemas.envelope import Done
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Permission
from pipelabs.web.auth import needs
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.envelope import reply

bp = StrictBlueprint("api_tokens", __name__, url_prefix="/admin/tokens")


@bp.get("")
@needs(Permission.SELF_READ)
@bp.arguments(ListQuery, location="query")
@bp.response(200, TokenList)
def index(query: Mapping[str, Any]) -> ResponseReturnValue:
    """List the own API tokens, the newest first; those revoked are left out."""
    page = api_tokens.list_tokens(g.actor.admin_id, query["size"], query.get("cursor"))
    return reply(tokens=page.rows, page=page)


@bp.post("")
@needs(Permission.SELF_WRITE, refused=Event.API_TOKEN_CREATE_DENIED)
@bp.arguments(TokenIn)
@bp.response(201, TokenCreated)
def create(data: Mapping[str, Any]) -> ResponseReturnValue:
    """Create an API token; `text` is what a program sends as bearer.

    It is shown this once. No `Idempotency-Key` is taken, because the answer would have to be
    stored with it: if the answer was lost, revoke the token and create another.
    """
    made = api_tokens.create_token(data, g.actor)
    return reply(
        "API token created",
        status=201,
        location=url_for("api.api_tokens.show", token_id=made.token.id),
        token=made.token,
        text=made.text,
    )


@bp.get("/<uuid:token_id>")
@needs(Permission.SELF_READ)
@bp.response(200, TokenShown)
def show(token_id: UUID) -> ResponseReturnValue:
    """Show one of the own API tokens."""
    return reply(token=api_tokens.get_token(token_id, g.actor.admin_id))


@bp.delete("/<uuid:token_id>")
@needs(Permission.SELF_WRITE)
@bp.response(200, Done)
def revoke(token_id: UUID) -> ResponseReturnValue:
    """Revoke one of the own API tokens; it is refused everywhere from here on."""
    api_tokens.revoke_token(token_id, g.actor.admin_id, g.actor)
    return reply("API token revoked")
