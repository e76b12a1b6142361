"""Who is quoted where, over HTTP: the markets of a client, and clients by exchanges."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.audit.events import Event
from pipelabs.core.errors import Duplicate, InvalidTransition, Stale
from pipelabs.markets import client_markets, quoting
from pipelabs.markets.matrix import matrix as matrix_of
from pipelabs.markets.schemas.client_markets import (
    ClientMarketPatch,
    ClientMarketsAdded,
    ClientMarketShown,
    ClientMarketsIn,
    ClientMarketsListed,
    ClientMarketsQuery,
    MatrixQuery,
    MatrixShown,
)
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.envelope import Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.openapi.examples import ID
from pipelabs.web.state import current_actor

bp = OperationBlueprint("client_markets", __name__, url_prefix="/admin")
QUOTED = Duplicate(
    "Already quoted there",
    fields={"markets.0.symbol": ["BTC/USDT on okx is quoted already."]},
    existing={"markets.0.symbol": ID},
)
OVER = InvalidTransition(client_markets.OFFBOARDED)
STALE = Stale("It has changed: it is at version 4, not 3.")
NO_WAY = "BTC/USDT is delisted on okx."
ILLEGAL = InvalidTransition(NO_WAY, fields={"status": [NO_WAY]})
"""Examples for the document."""


@bp.operation(
    "GET",
    "/clients/<uuid:client_id>/markets",
    permission=Permission.TOKEN_PAIRS_READ,
    query=ClientMarketsQuery,
    response=ClientMarketsListed,
)
def index(query: Mapping[str, Any], client_id: UUID) -> Reply:
    """List the markets of a client by exchange and symbol, a page at a time."""
    page = client_markets.list_client_markets(client_id, query, query["size"], query.get("cursor"))
    return reply(client_markets=page.rows, page=page)


@bp.operation(
    "POST",
    "/clients/<uuid:client_id>/markets",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.CLIENT_MARKET_ADD_DENIED,
    body=ClientMarketsIn,
    replayed_event=Event.CLIENT_MARKET_ADD_REPLAYED,
    response=ClientMarketsAdded,
    status=201,
    errors=(
        QUOTED,
        OVER,
    ),
)
def create(data: Mapping[str, Any], client_id: UUID) -> Reply:
    """Have a client quoted in up to 500 markets: in all of them, or in none if one is wrong.

    Pairs and markets that are not there are made on the way. What is wrong is named by its place
    in the list, `markets.3.symbol`: first all that cannot be read, then all that breaks a rule.
    """
    added = quoting.add_client_markets(client_id, data["markets"], current_actor())
    return reply(
        f"{len(added)} market{'s' * (len(added) != 1)} added",
        status=201,
        location=url_for("api.client_markets.index", client_id=client_id),
        client_markets=added,
    )


@bp.operation(
    "PATCH",
    "/clients/<uuid:client_id>/markets/<uuid:client_market_id>",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.CLIENT_MARKET_UPDATE_DENIED,
    body=ClientMarketPatch,
    response=ClientMarketShown,
    has_etag=True,
    errors=(
        ILLEGAL,
        STALE,
    ),
)
def update(data: Mapping[str, Any], client_id: UUID, client_market_id: UUID) -> Reply:
    """Change how a client is quoted in a market.

    What is left out stays, null empties a target. Nobody is quoted in a delisted market.
    """
    stored = client_markets.update_client_market(
        client_id, client_market_id, data, current_actor(), version=expected_version()
    )
    return reply(client_market=stored, etag=str(stored.version))


@bp.operation(
    "GET",
    "/matrix",
    permission=Permission.TOKEN_PAIRS_READ,
    query=MatrixQuery,
    response=MatrixShown,
)
def matrix(query: Mapping[str, Any]) -> Reply:
    """Show in how many pairs each client is quoted on each exchange, a page of clients at a time.

    Whoever is quoted nowhere is left out, and without a `status` so is what is delisted.
    """
    found = matrix_of(query, query["size"], query.get("cursor"))
    return reply(exchanges=found.exchanges, rows=found.rows, page=found.page)
