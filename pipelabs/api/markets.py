"""Markets over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.audit.events import Event
from pipelabs.core.errors import Duplicate, InvalidTransition, Stale
from pipelabs.markets import markets
from pipelabs.markets.schemas.markets import (
    MarketChanged,
    MarketChanges,
    MarketCreated,
    MarketIn,
    MarketPatch,
    MarketShown,
    MarketsListed,
    MarketsQuery,
    NewMarket,
)
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.openapi.examples import ID
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("markets", __name__, url_prefix="/admin/markets")
TAKEN = Duplicate(markets.TAKEN, fields={"symbol": [markets.TAKEN]}, existing={"symbol": ID})
STALE = Stale("The market has changed: it is at version 4, not 3.")
NO_WAY = "A market that is delisted cannot become halted."
ILLEGAL = InvalidTransition(NO_WAY, fields={"status": [NO_WAY]})
"""Examples for the document."""


@bp.operation(
    "GET", "", permission=Permission.TOKEN_PAIRS_READ, query=MarketsQuery, response=MarketsListed
)
def index(query: Mapping[str, Any]) -> Reply:
    """List markets by symbol and exchange, a page at a time."""
    page = markets.list_markets(query, query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "POST",
    "",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.MARKET_CREATE_DENIED,
    body=MarketIn,
    replayed_event=Event.MARKET_CREATE_REPLAYED,
    response=MarketCreated,
    status=201,
    has_etag=True,
    errors=(TAKEN,),
)
def create(data: NewMarket) -> Reply:
    """Create a market, and its token pair if that does not exist.

    A `symbol` without a slash is read as the exchange writes it: `KRW-BTC` on Upbit is BTC/KRW.
    `exchange_symbol` is required if it does not follow a rule: for swaps, and on exchanges whose
    `symbol_style` is `own`. 409 names the existing market in `error.existing`.
    """
    market = markets.create_market(data, current_actor())
    return reply(
        "Market created",
        location=url_for("api.markets.show", market_id=market.id),
        etag=str(market.version),
        market=market,
    )


@bp.operation(
    "GET",
    "/<uuid:market_id>",
    permission=Permission.TOKEN_PAIRS_READ,
    response=MarketShown,
    has_etag=True,
)
def show(market_id: UUID) -> Reply:
    """Show one market. The ETag is its version."""
    market = markets.get_market(market_id)
    return reply(market=market, etag=str(market.version))


@bp.operation(
    "PATCH",
    "/<uuid:market_id>",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.MARKET_UPDATE_DENIED,
    body=MarketPatch,
    response=MarketChanged,
    has_etag=True,
    errors=(
        ILLEGAL,
        STALE,
    ),
)
def update(data: MarketChanges, market_id: UUID) -> Reply:
    """Change some fields of a market.

    Omitted fields stay as they are, and null empties a field. The status `delisted` ends the
    quoting of every client there: `affected_count` is their number, and `affected_clients` names
    up to 50. If the call is interrupted, repeat it. The status `trading` lists the market
    again. Its clients stay delisted until each is set to `active`.
    """
    market, affected = markets.update_market(
        market_id, data, current_actor(), version=expected_version()
    )
    return reply(
        market=market,
        affected_count=affected.count,
        affected_clients=affected.listed,
        etag=str(market.version),
    )
