"""Pages of a client's markets."""

from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit.events import Event
from pipelabs.clients import service as clients
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.exchanges.service import list_enabled_slugs
from pipelabs.markets import client_markets, quoting
from pipelabs.markets.grid import build_grid
from pipelabs.markets.schemas.client_markets import (
    ClientMarketEdit,
    ClientMarketsForm,
    ClientMarketsQuery,
)
from pipelabs.models import ClientMarket, MarketStatus, Permission, QuotingStatus, Status
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("client_markets", __name__, url_prefix="/clients/<uuid:client_id>/markets")


@bp.operation("GET", "", permission=Permission.TOKEN_PAIRS_READ)
def index(client_id: UUID) -> ResponseReturnValue:
    """List the markets of a client, exchange by exchange, a page at a time."""
    asked = query(ClientMarketsQuery)
    client = clients.get_client(client_id)
    return render_template(
        "admin/client_markets/index.html",
        client=client,
        is_final=client.status is Status.OFFBOARDED,
        page=client_markets.list_client_markets(
            client_id, asked, asked["size"], asked.get("cursor")
        ),
        exchanges=client_markets.list_client_exchanges(client_id),
        statuses=list(QuotingStatus),
        asked=asked,
    )


@bp.operation("GET", "/grid", permission=Permission.TOKEN_PAIRS_READ)
def grid(client_id: UUID) -> ResponseReturnValue:
    """Show a client's pairs by exchanges, a page of pairs at a time."""
    client, asked = clients.get_client(client_id), query(ListQuery)
    grid = build_grid(client_id, asked["size"], asked.get("cursor"))
    return render_template("admin/client_markets/grid.html", client=client, grid=grid)


@bp.operation("GET", "/add", permission=Permission.TOKEN_PAIRS_WRITE)
def new(client_id: UUID) -> ResponseReturnValue:
    """Show the form that adds many markets at once."""
    form = Form(ClientMarketsForm).offer("exchange", ["", *list_enabled_slugs()])
    client = clients.get_client(client_id)
    return render_template("admin/client_markets/new.html", form=form, client=client)


@bp.operation(
    "POST",
    "/add",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.CLIENT_MARKET_ADD_DENIED,
    form=ClientMarketsForm,
    status=303,
)
def create(client_id: UUID) -> ResponseReturnValue:
    """Have a client quoted in many markets."""
    client = clients.get_client(client_id)
    form = submitted_form(ClientMarketsForm, "admin/client_markets/new.html", client=client)
    form.offer("exchange", ["", *list_enabled_slugs()])
    added = quoting.add_client_markets(client_id, form.load(), current_actor())
    flash("1 market added." if len(added) == 1 else f"{len(added)} markets added.", "success")
    return redirect(url_for("admin.client_markets.index", client_id=client_id), 303)


@bp.operation("GET", "/<uuid:client_market_id>", permission=Permission.TOKEN_PAIRS_WRITE)
def edit(client_id: UUID, client_market_id: UUID) -> ResponseReturnValue:
    """Show the form of one market of a client."""
    row = client_markets.get_client_market(client_id, client_market_id)
    return render_template("admin/client_markets/edit.html", form=_stored(row), row=row)


@bp.operation(
    "POST",
    "/<uuid:client_market_id>",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.CLIENT_MARKET_UPDATE_DENIED,
    form=ClientMarketEdit,
    status=303,
)
def update(client_id: UUID, client_market_id: UUID) -> ResponseReturnValue:
    """Change how a client is quoted in a market."""
    row = client_markets.get_client_market(client_id, client_market_id)
    form = submitted_form(
        ClientMarketEdit, "admin/client_markets/edit.html", row=row, stored=_stored(row)
    )
    changes, version = form.offer("status", _statuses(row)).load()
    client_markets.update_client_market(
        client_id, client_market_id, changes, current_actor(), version=version
    )
    flash(f"{row.symbol} on {row.exchange} saved.", "success")
    return redirect(url_for("admin.client_markets.index", client_id=client_id), 303)


def _stored(row: ClientMarket) -> Form:
    form = Form(ClientMarketEdit, ClientMarketEdit().dump(row))
    return form.offer("status", _statuses(row))


def _statuses(row: ClientMarket) -> list[str]:
    """Return what the status can become: no client is quoted in a delisted market."""
    if row.market_status is MarketStatus.DELISTED:
        return [row.status.value]
    own = [QuotingStatus.DELISTED] if row.status is QuotingStatus.DELISTED else []
    return [one.value for one in (*own, QuotingStatus.ACTIVE, QuotingStatus.PAUSED)]
