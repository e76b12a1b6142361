"""Markets over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import g, url_for
from flask.typing import ResponseReturnValue

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
from pipelabs.web.auth import needs
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.envelope import reply
from pipelabs.web.etags import expected_version
from pipelabs.web.idempotency import idempotent
from pipelabs.web.openapi.errors import raises
from pipelabs.web.openapi.examples import ID

bp = StrictBlueprint("markets", __name__, url_prefix="/admin/markets")
TAKEN = Duplicate(markets.TAKEN, fields={"symbol": [markets.TAKEN]}, existing={"symbol": ID})
STALE = Stale("The market has changed: it is at version 4, not 3.")
NO_WAY = "A market that is delisted cannot become halted."
ILLEGAL = InvalidTransition(NO_WAY, fields={"status": [NO_WAY]})
"""Examples for the document."""


@bp.get("")
@needs(Permission.TOKEN_PAIRS_READ)
@bp.arguments(MarketsQuery, location="query")
@bp.response(200, MarketsListed)
def index(query: Mapping[str, Any]) -> ResponseReturnValue:
    """List markets by symbol and exchange, a page at a time."""
    page = markets.list_markets(query, query["size"], query.get("cursor"))
    return reply(markets=page.rows, page=page)


@bp.post("")
@needs(Permission.TOKEN_PAIRS_WRITE, refused=Event.MARKET_CREATE_DENIED)
@bp.arguments(MarketIn)
@idempotent(replayed=Event.MARKET_CREATE_REPLAYED)
@bp.response(201, MarketCreated)
@raises(TAKEN)
def create(new: NewMarket) -> ResponseReturnValue:
    """Create a market, and its token pair if that does not exist.

    `exchange_symbol` is required if it does not follow a rule: for swaps, and on exchanges whose
    `symbol_style` is `own`. 409 names the existing market in `error.existing`.
    """
    market = markets.create_market(new, g.actor)
    return reply(
        "Market created",
        status=201,
        location=url_for("api.markets.show", market_id=market.id),
        market=market,
    )


@bp.get("/<uuid:market_id>")
@needs(Permission.TOKEN_PAIRS_READ)
@bp.response(200, MarketShown, headers={"ETag": "ETag"})
def show(market_id: UUID) -> ResponseReturnValue:
    """Show one market. The ETag is its version."""
    market = markets.get_market(market_id)
    return reply(market=market, etag=str(market.version))


@bp.patch("/<uuid:market_id>")
@needs(Permission.TOKEN_PAIRS_WRITE, refused=Event.MARKET_UPDATE_DENIED)
@bp.arguments(MarketPatch)
@bp.response(200, MarketChanged, headers={"ETag": "ETag"})
@raises(ILLEGAL, STALE)
def update(changes: MarketChanges, market_id: UUID) -> ResponseReturnValue:
    """Change some fields of a market.

    Omitted fields stay as they are, and null empties a field. The status `delisted` ends the
    quoting of every client there, and `affected_clients` names them. The status `trading` lists
    the market again. Its clients stay delisted until each is set to `active`.
    """
    version = expected_version()
    market, affected = markets.update_market(market_id, changes, g.actor, version=version)
    return reply(market=market, affected_clients=affected, etag=str(market.version))
