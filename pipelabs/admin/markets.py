"""Pages of markets."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.activity.bands import build_band
from pipelabs.activity.queries import list_of_subject
from pipelabs.admin import bulk
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind
from pipelabs.bulk.markets import MarketsTarget
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.exchanges import registry
from pipelabs.exchanges.service import list_enabled_slugs
from pipelabs.markets import client_markets, markets, relisting
from pipelabs.markets.delisting import AffectedClients, find_affected_clients
from pipelabs.markets.schemas.markets import (
    MarketChanges,
    MarketEdit,
    MarketIn,
    MarketsQuery,
    MarketStatusEdit,
)
from pipelabs.models import Market, MarketStatus, Permission
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.charts import draw_band
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

STATUS_KINDS = {"trading": "good", "halted": "warn", "delisted": "quiet"}
bp = OperationBlueprint("markets", __name__, url_prefix="/markets")
MARKETS = MarketsTarget()
bulk.add_routes(bp, MarketsTarget, Permission.TOKEN_PAIRS_WRITE, Event.MARKET_BULK_CHANGE_DENIED)


@bp.operation("GET", "", permission=Permission.TOKEN_PAIRS_READ)
def index() -> ResponseReturnValue:
    """List markets; search and filters are in the address."""
    asked = query(MarketsQuery)
    return render_template(
        "admin/markets/index.html",
        page=markets.list_markets(asked, asked["size"], asked.get("cursor")),
        asked=asked,
        target=MARKETS,
        exchanges=markets.list_exchanges_in_use(),
        statuses=list(MarketStatus),
    )


@bp.operation("GET", "/new", permission=Permission.TOKEN_PAIRS_WRITE)
def new() -> ResponseReturnValue:
    """Show the form of a new market; what the address names is filled in."""
    form = Form(MarketIn, {name: request.args.get(name) for name in ("symbol", "exchange")})
    form.offer("exchange", ["", *list_enabled_slugs()])
    return render_template("admin/markets/new.html", form=form)


@bp.operation(
    "POST",
    "/new",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.MARKET_CREATE_DENIED,
    form=MarketIn,
    status=303,
)
def create() -> ResponseReturnValue:
    """Create a market."""
    form = submitted_form(MarketIn, "admin/markets/new.html")
    form.offer("exchange", ["", *list_enabled_slugs()])
    market = markets.create_market(form.load(), current_actor())
    flash(f"{market.symbol} on {registry.name_of(market.exchange)} created.", "success")
    return redirect(url_for("admin.markets.show", market_id=market.id), 303)


@bp.operation("GET", "/<uuid:market_id>", permission=Permission.TOKEN_PAIRS_READ)
def show(market_id: UUID) -> ResponseReturnValue:
    """Show a market, and who is quoted in it."""
    cursor, market = query(ListQuery).get("cursor"), markets.get_market(market_id)
    return render_template(
        "admin/markets/show.html",
        market=market,
        activity=by_day(list_of_subject(Kind.MARKET, market_id)),
        band=draw_band(build_band(market), STATUS_KINDS),
        page=client_markets.list_quoted_clients(market_id=market_id, cursor=cursor),
    )


@bp.operation("GET", "/<uuid:market_id>/edit", permission=Permission.TOKEN_PAIRS_WRITE)
def edit(market_id: UUID) -> ResponseReturnValue:
    """Show the form of a market as it is stored."""
    market = markets.get_market(market_id)
    return render_template("admin/markets/edit.html", form=_stored(market), market=market)


@bp.operation(
    "POST",
    "/<uuid:market_id>/edit",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.MARKET_UPDATE_DENIED,
    form=MarketEdit,
    status=303,
)
def update(market_id: UUID) -> ResponseReturnValue:
    """Change a market."""
    market = markets.get_market(market_id)
    stored = _stored(market)
    form = submitted_form(MarketEdit, "admin/markets/edit.html", market=market, stored=stored)
    changes, version = form.load()
    before = bulk.remember(MARKETS, market)
    markets.update_market(market_id, changes, current_actor(), version=version)
    bulk.tell(f"{market.symbol} on {registry.name_of(market.exchange)} saved.", before)
    return redirect(url_for("admin.markets.show", market_id=market_id), 303)


@bp.operation("GET", "/<uuid:market_id>/status", permission=Permission.TOKEN_PAIRS_WRITE)
def status(market_id: UUID) -> ResponseReturnValue:
    """Show where the market can go, and whom a delisting would touch."""
    return render_template("admin/markets/status.html", **_moves(market_id))


@bp.operation(
    "POST",
    "/<uuid:market_id>/status",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.MARKET_UPDATE_DENIED,
    status=303,
)
def move(market_id: UUID) -> ResponseReturnValue:
    """Halt, delist or list a market."""
    shown = _moves(market_id)
    data = submitted_form(MarketStatusEdit, "admin/markets/status.html", **shown).load()
    version, actor = data["version"], current_actor()
    before = bulk.remember(MARKETS, markets.get_market(market_id))
    if data["status"] is MarketStatus.TRADING:
        resumed = relisting.relist_market(
            market_id, actor, version=version, is_resumed=data["resume"]
        ).resumed
        follows = _resumed(resumed)
    else:
        changes = MarketChanges(status=data["status"])
        follows = _touched(
            markets.update_market(market_id, changes, actor, version=version).affected
        )
    market = before.row
    bulk.tell(
        f"{market.symbol} on {registry.name_of(market.exchange)} is now {market.status}.{follows}",
        before,
    )
    return redirect(url_for("admin.markets.show", market_id=market_id), 303)


def _resumed(count: int) -> str:
    """Return how many clients are quoted again, as a sentence."""
    if not count:
        return ""
    return f" {'1 client is' if count == 1 else f'{count:,} clients are'} quoted there again."


def _touched(affected: AffectedClients) -> str:
    """Return whom a delisting has affected, as sentences."""
    active, paused = affected.active, affected.paused
    clients = "1 client is" if active == 1 else f"{active:,} clients are"
    rest = "1 paused client was" if paused == 1 else f"{paused:,} paused clients were"
    ended = f" {clients} no longer quoted there." if active else ""
    return ended + (f" {rest} delisted there." if paused else "")


def _stored(market: Market) -> Form:
    return Form(MarketEdit, MarketEdit().dump(market))


def _moves(market_id: UUID) -> dict[str, object]:
    market = markets.get_market(market_id)
    affected = find_affected_clients(market_id)
    moves = markets.TRANSITIONS[market.status]
    if market.status is MarketStatus.DELISTED and affected.count:
        moves = {MarketStatus.DELISTED}  # the delisting was interrupted
    resumable = relisting.find_resumable(market_id)
    return {"market": market, "moves": moves, "affected": affected, "resumable": resumable}
