"""API for your own API tokens."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import g, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import api_tokens
from pipelabs.accounts.commands import NewToken
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
    """List your API tokens, newest first, without revoked ones."""
    page = api_tokens.list_tokens(g.actor.admin_id, query["size"], query.get("cursor"))
    return reply(tokens=page.rows, page=page)


@bp.post("")
@needs(Permission.SELF_WRITE, refused=Event.API_TOKEN_CREATE_DENIED)
@bp.arguments(TokenIn)
@bp.response(201, TokenCreated)
def create(data: NewToken) -> ResponseReturnValue:
    """Create an API token.

    A program sends `text` as its bearer token.
    The text is only shown here. This call takes no `Idempotency-Key`, because the text would have
    to be stored. If you didn't get the response, revoke the token and create another.
    """
    created = api_tokens.create_token(data, g.actor)
    return reply(
        "API token created",
        status=201,
        location=url_for("api.api_tokens.show", token_id=created.token.id),
        token=created.token,
        text=created.text,
    )


@bp.get("/<uuid:token_id>")
@needs(Permission.SELF_READ)
@bp.response(200, TokenShown)
def show(token_id: UUID) -> ResponseReturnValue:
    """Show one of your API tokens."""
    return reply(token=api_tokens.get_token(token_id, g.actor.admin_id))


@bp.delete("/<uuid:token_id>")
@needs(Permission.SELF_WRITE)
@bp.response(200, Done)
def revoke(token_id: UUID) -> ResponseReturnValue:
    """Revoke one of your API tokens.

    Programs using it stop working immediately.
    """
    api_tokens.revoke_token(token_id, g.actor.admin_id, g.actor)
    return reply("API token revoked")
