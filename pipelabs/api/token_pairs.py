"""Token pairs over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import g, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit.events import Event
from pipelabs.core.errors import Duplicate
from pipelabs.markets import token_pairs
from pipelabs.markets.schemas.token_pairs import (
    TokenPairCreated,
    TokenPairIn,
    TokenPairShown,
    TokenPairsListed,
    TokenPairsQuery,
)
from pipelabs.models import Permission
from pipelabs.web.auth import needs
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.envelope import reply
from pipelabs.web.idempotency import idempotent
from pipelabs.web.openapi.errors import raises
from pipelabs.web.openapi.examples import ID

bp = StrictBlueprint("token_pairs", __name__, url_prefix="/admin/token-pairs")
TAKEN = Duplicate(
    token_pairs.TAKEN, fields={"symbol": [token_pairs.TAKEN]}, existing={"symbol": ID}
)
"""An example for the document."""


@bp.get("")
@needs(Permission.TOKEN_PAIRS_READ)
@bp.arguments(TokenPairsQuery, location="query")
@bp.response(200, TokenPairsListed)
def index(query: Mapping[str, Any]) -> ResponseReturnValue:
    """List token pairs, a page at a time."""
    page = token_pairs.list_token_pairs(query, query["sort"], query["size"], query.get("cursor"))
    return reply(token_pairs=page.rows, page=page)


@bp.post("")
@needs(Permission.TOKEN_PAIRS_WRITE, refused=Event.TOKEN_PAIR_CREATE_DENIED)
@bp.arguments(TokenPairIn)
@idempotent(replayed=Event.TOKEN_PAIR_CREATE_REPLAYED)
@bp.response(201, TokenPairCreated)
@raises(TAKEN)
def create(data: Mapping[str, Any]) -> ResponseReturnValue:
    """Create a token pair.

    `BTC/USDT`, `btc-usdt` and `BTC_USDT` are the same pair. 409 names the existing pair in
    `error.existing`.
    """
    token_pair = token_pairs.create_token_pair(data["symbol"], g.actor)
    return reply(
        "Token pair created",
        status=201,
        location=url_for("api.token_pairs.show", token_pair_id=token_pair.id),
        token_pair=token_pair,
    )


@bp.get("/<uuid:token_pair_id>")
@needs(Permission.TOKEN_PAIRS_READ)
@bp.response(200, TokenPairShown)
def show(token_pair_id: UUID) -> ResponseReturnValue:
    """Show one token pair and its markets."""
    token_pair = token_pairs.get_token_pair(token_pair_id)
    return reply(token_pair=token_pair, markets=token_pairs.list_pair_markets(token_pair_id))
