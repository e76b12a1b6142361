"""API for your own API tokens."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.accounts import api_tokens
from pipelabs.accounts.commands import NewToken
from pipelabs.accounts.schemas.api_tokens import TokenCreated, TokenIn, TokenList, TokenShown
from pipelabs.audit.events import Event
from pipelabs.core.schemas.envelope import Done
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import APIToken, Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import FIRST_VERSION, etag_of
from pipelabs.web.operation import current_actor, current_admin_id

bp = OperationBlueprint("api_tokens", __name__, url_prefix="/admin/tokens")


@bp.operation("GET", "", permission=Permission.SELF_READ, query=ListQuery, response=TokenList)
def index(query: Mapping[str, Any]) -> Reply:
    """List your API tokens, newest first, without revoked ones."""
    page = api_tokens.list_tokens(current_admin_id(), query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "POST",
    "",
    permission=Permission.SELF_WRITE,
    denied_event=Event.API_TOKEN_CREATE_DENIED,
    body=TokenIn,
    replayed_event=Event.API_TOKEN_CREATE_REPLAYED,
    has_secret=True,
    response=TokenCreated,
    status=201,
    has_etag=True,
)
def create(data: NewToken) -> Reply:
    """Create an API token.

    A program sends `token` as its bearer token.
    It is only shown here. If you didn't get the response, repeat the call with its
    `Idempotency-Key`.
    """
    created = api_tokens.create_token(data, current_actor())
    return reply(
        "API token created",
        location=url_for("api.api_tokens.show", token_id=created.token.id),
        etag=_etag(created.token),
        api_token=created.token,
        token=created.text,
    )


@bp.operation(
    "GET",
    "/<uuid:token_id>",
    permission=Permission.SELF_READ,
    response=TokenShown,
    has_etag=True,
)
def show(token_id: UUID) -> Reply:
    """Show one of your API tokens. The ETag changes with its last use."""
    token = api_tokens.get_token(token_id, current_admin_id())
    return reply(etag=_etag(token), api_token=token)


@bp.operation("DELETE", "/<uuid:token_id>", permission=Permission.SELF_WRITE, response=Done)
def revoke(token_id: UUID) -> Reply:
    """Revoke one of your API tokens.

    Programs using it stop working immediately.
    """
    api_tokens.revoke_token(token_id, current_admin_id(), current_actor())
    return reply("API token revoked")


def _etag(token: APIToken) -> str:
    return etag_of(FIRST_VERSION, token.last_used_at and (token.last_used_at, token.last_address))
