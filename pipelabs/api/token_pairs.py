"""Token pairs over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

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
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import FIRST_VERSION, etag_of
from pipelabs.web.openapi.examples import ID
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("token_pairs", __name__, url_prefix="/admin/token-pairs")
TAKEN = Duplicate(
    token_pairs.TAKEN, fields={"symbol": [token_pairs.TAKEN]}, existing={"symbol": ID}
)
"""An example for the document."""


@bp.operation(
    "GET",
    "",
    permission=Permission.TOKEN_PAIRS_READ,
    query=TokenPairsQuery,
    response=TokenPairsListed,
)
def index(query: Mapping[str, Any]) -> Reply:
    """List token pairs, a page at a time."""
    page = token_pairs.list_token_pairs(query, query["sort"], query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "POST",
    "",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.TOKEN_PAIR_CREATE_DENIED,
    body=TokenPairIn,
    replayed_event=Event.TOKEN_PAIR_CREATE_REPLAYED,
    response=TokenPairCreated,
    status=201,
    has_etag=True,
    errors=(TAKEN,),
)
def create(data: Mapping[str, Any]) -> Reply:
    """Create a token pair.

    `BTC/USDT`, `btc-usdt` and `BTC_USDT` are the same pair. 409 names the existing pair in
    `error.existing`.
    """
    token_pair = token_pairs.create_token_pair(data["symbol"], current_actor())
    return reply(
        "Token pair created",
        location=url_for("api.token_pairs.show", token_pair_id=token_pair.id),
        etag=etag_of(FIRST_VERSION, []),
        token_pair=token_pair,
    )


@bp.operation(
    "GET",
    "/<uuid:token_pair_id>",
    permission=Permission.TOKEN_PAIRS_READ,
    response=TokenPairShown,
    has_etag=True,
)
def show(token_pair_id: UUID) -> Reply:
    """Show one token pair and its markets. A pair never changes: the ETag is its markets'."""
    token_pair = token_pairs.get_token_pair(token_pair_id)
    markets = token_pairs.list_pair_markets(token_pair_id)
    etag = etag_of(FIRST_VERSION, [(market.id, market.version) for market in markets])
    return reply(etag=etag, token_pair=token_pair, markets=markets)
