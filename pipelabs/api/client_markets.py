"""Clients' markets over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.audit.events import Event
from pipelabs.clients.service import OFFBOARDED
from pipelabs.core.errors import Duplicate, InvalidTransition, Stale
from pipelabs.markets import client_markets, quoting
from pipelabs.markets.schemas.client_markets import (
    ClientMarketChanges,
    ClientMarketPatch,
    ClientMarketsAdded,
    ClientMarketShown,
    ClientMarketsIn,
    ClientMarketsListed,
    ClientMarketsQuery,
)
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.openapi.examples import ID
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("client_markets", __name__, url_prefix="/admin")
QUOTED = Duplicate(
    "Already quoted there",
    fields={"markets.0.symbol": ["BTC/USDT on okx is already quoted."]},
    existing={"markets.0.symbol": ID},
)
OVER = InvalidTransition(OFFBOARDED)
STALE = Stale("The market has changed: it is at version 4, not 3.")
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
    return reply(data=page.rows, page=page)


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

    Pairs and markets that do not exist are created. Errors name the place in the list, such as
    `markets.3.symbol`. Fields that cannot be read are reported first, broken rules after that.
    """
    added = quoting.add_client_markets(client_id, data["markets"], current_actor())
    return reply(
        f"{len(added)} market{'s' * (len(added) != 1)} added",
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
def update(data: ClientMarketChanges, client_id: UUID, client_market_id: UUID) -> Reply:
    """Change how a client is quoted in a market.

    Omitted fields stay as they are, and null empties a target. Clients can't be quoted in a
    delisted market.
    """
    stored = client_markets.update_client_market(
        client_id, client_market_id, data, current_actor(), version=expected_version()
    )
    return reply(client_market=stored, etag=str(stored.version))
