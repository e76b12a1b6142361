"""Pages of a client's markets."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.admin import bulk
from pipelabs.admin.client_header import describe_client
from pipelabs.audit.events import Event
from pipelabs.bulk.client_markets import ClientMarketsTarget
from pipelabs.clients import service as clients
from pipelabs.core.errors import InvalidInput, InvalidTransition
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.exchanges import registry
from pipelabs.exchanges.service import list_enabled_slugs
from pipelabs.markets import client_markets, quoting
from pipelabs.markets.forms import ClientMarketsForm
from pipelabs.markets.grid import build_grid
from pipelabs.markets.markets import list_exchanges_in_use
from pipelabs.markets.pasted import PastedMarkets, judge_markets
from pipelabs.markets.schemas.client_markets import ClientMarketEdit, ClientMarketsQuery
from pipelabs.models import Client, ClientMarket, MarketStatus, Permission, QuotingStatus, Status
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.console_session import back_url
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import SubmittedForm, current_actor, request_state

bp = OperationBlueprint("client_markets", __name__, url_prefix="/clients/<uuid:client_id>/markets")
NEW = "admin/client_markets/new.html"
bulk.add_routes(
    bp,
    ClientMarketsTarget,
    Permission.TOKEN_PAIRS_WRITE,
    Event.CLIENT_MARKET_BULK_CHANGE_DENIED,
)


@bp.operation("GET", "", permission=Permission.TOKEN_PAIRS_READ)
def index(client_id: UUID) -> ResponseReturnValue:
    """List the markets of a client, exchange by exchange, a page at a time."""
    asked = query(ClientMarketsQuery)
    return render_template(
        "admin/client_markets/index.html",
        target=ClientMarketsTarget(client_id),
        **describe_client(client_id),
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
    asked = query(ListQuery)
    header = describe_client(client_id)
    grid = build_grid(client_id, asked["size"], asked.get("cursor"))
    return render_template("admin/client_markets/grid.html", grid=grid, **header)


@bp.operation("GET", "/add", permission=Permission.TOKEN_PAIRS_WRITE)
def new(client_id: UUID) -> ResponseReturnValue:
    """Show the form that adds many markets at once, on the exchanges that the address names."""
    values = {"exchanges": "\n".join(request.args.getlist("exchange"))}
    form = Form(ClientMarketsForm, values).offer("exchanges", list_enabled_slugs())
    return render_template(NEW, form=form, **_adding(clients.get_client(client_id)))


@bp.operation("POST", "/add/preview", permission=Permission.TOKEN_PAIRS_WRITE)
def preview(client_id: UUID) -> ResponseReturnValue:
    """Show what adding the markets would mean."""
    form, pasted = _read(client_id)
    return render_template(NEW, form=form, **_adding(clients.get_client(client_id), pasted))


@bp.operation(
    "POST",
    "/add",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.CLIENT_MARKET_ADD_DENIED,
    form=ClientMarketsForm,
    status=303,
)
def create(client_id: UUID) -> ResponseReturnValue:
    """Have a client quoted in many markets: in all of them, or in none."""
    _, pasted = _read(client_id)
    if pasted.wrong:
        sentence = "1 market can't" if pasted.wrong == 1 else f"{pasted.wrong} markets can't"
        raise InvalidInput(f"Nothing was added: {sentence} be added.")
    return _add(client_id, pasted)


@bp.operation(
    "POST",
    "/add/others",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.CLIENT_MARKET_ADD_DENIED,
    status=303,
)
def create_others(client_id: UUID) -> ResponseReturnValue:
    """Have a client quoted in those of the markets that can be added."""
    _, pasted = _read(client_id)
    if not pasted.items:
        raise InvalidInput("Nothing was added. None of these markets can be added.")
    return _add(client_id, pasted)


def _read(client_id: UUID) -> tuple[Form, PastedMarkets]:
    """Return the submitted form and its markets. Any later error shows both again."""
    client = clients.get_client(client_id)
    if client.status is Status.OFFBOARDED:
        raise InvalidTransition(clients.OFFBOARDED)
    form = submitted_form(ClientMarketsForm, NEW, **_adding(client))
    form.offer("exchanges", list_enabled_slugs())
    pasted = form.load()
    judge_markets(client_id, pasted)
    request_state().form = SubmittedForm(NEW, form, _adding(client, pasted))
    return form, pasted


def _adding(client: Client, pasted: PastedMarkets | None = None) -> dict[str, Any]:
    """Return what the page shows from which markets are added."""
    return {"client": client, "pasted": pasted, "in_use": list_exchanges_in_use()}


def _add(client_id: UUID, pasted: PastedMarkets) -> ResponseReturnValue:
    added = quoting.add_client_markets(client_id, pasted.items, current_actor())
    flash("1 market added." if len(added) == 1 else f"{len(added)} markets added.", "success")
    return redirect(url_for("admin.client_markets.index", client_id=client_id), 303)


@bp.operation("GET", "/<uuid:client_market_id>", permission=Permission.TOKEN_PAIRS_WRITE)
def edit(client_id: UUID, client_market_id: UUID) -> ResponseReturnValue:
    """Show the form of one market of a client."""
    row = client_markets.get_client_market(client_id, client_market_id)
    back = _back(client_id)
    return render_template("admin/client_markets/edit.html", form=_stored(row), row=row, back=back)


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
    back = _back(client_id)
    form = submitted_form(
        ClientMarketEdit, "admin/client_markets/edit.html", row=row, stored=_stored(row), back=back
    )
    changes, version = form.offer("status", _statuses(row)).load()
    before = bulk.remember(ClientMarketsTarget(client_id), row)
    client_markets.update_client_market(
        client_id, client_market_id, changes, current_actor(), version=version
    )
    bulk.tell(
        f"{row.symbol} on {registry.name_of(row.exchange)} saved.", before, client_id=client_id
    )
    return redirect(f"{back}#row-{client_market_id}", 303)


def _back(client_id: UUID) -> str:
    """Return the page of the list from which the form was opened."""
    return back_url(url_for("admin.client_markets.index", client_id=client_id))


def _stored(row: ClientMarket) -> Form:
    form = Form(ClientMarketEdit, ClientMarketEdit().dump(row))
    return form.offer("status", _statuses(row))


def _statuses(row: ClientMarket) -> list[str]:
    """Return what the status can become: no client is quoted in a delisted market."""
    if row.market_status is MarketStatus.DELISTED:
        return [row.status.value]
    own = [QuotingStatus.DELISTED] if row.status is QuotingStatus.DELISTED else []
    return [one.value for one in (*own, QuotingStatus.ACTIVE, QuotingStatus.PAUSED)]
