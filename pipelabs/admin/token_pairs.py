"""Pages of token pairs."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.activity.queries import list_of_token_pair
from pipelabs.audit.events import Event
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.markets import client_markets, token_pairs
from pipelabs.markets.schemas.token_pairs import TokenPairIn, TokenPairsQuery
from pipelabs.models import Permission
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("token_pairs", __name__, url_prefix="/token-pairs")


@bp.operation("GET", "", permission=Permission.TOKEN_PAIRS_READ)
def index() -> ResponseReturnValue:
    """List token pairs; search and order are in the address."""
    asked = query(TokenPairsQuery)
    page = token_pairs.list_token_pairs(asked, asked["sort"], asked["size"], asked.get("cursor"))
    kept = {name: text for name, text in request.args.items() if text and name != "cursor"}
    return render_template("admin/token_pairs/index.html", page=page, asked=asked, kept=kept)


@bp.operation("GET", "/new", permission=Permission.TOKEN_PAIRS_WRITE)
def new() -> ResponseReturnValue:
    """Show the form of a new token pair."""
    return render_template("admin/token_pairs/new.html", form=Form(TokenPairIn))


@bp.operation(
    "POST",
    "/new",
    permission=Permission.TOKEN_PAIRS_WRITE,
    denied_event=Event.TOKEN_PAIR_CREATE_DENIED,
    form=TokenPairIn,
    status=303,
)
def create() -> ResponseReturnValue:
    """Create a token pair."""
    data = submitted_form(TokenPairIn, "admin/token_pairs/new.html").load()
    pair = token_pairs.create_token_pair(data["symbol"], current_actor())
    flash(f"{pair.symbol} created.", "success")
    return redirect(url_for("admin.token_pairs.show", token_pair_id=pair.id), 303)


@bp.operation("GET", "/<uuid:token_pair_id>", permission=Permission.TOKEN_PAIRS_READ)
def show(token_pair_id: UUID) -> ResponseReturnValue:
    """Show a token pair, its markets, and who is quoted in them."""
    cursor = query(ListQuery).get("cursor")
    return render_template(
        "admin/token_pairs/show.html",
        pair=token_pairs.get_token_pair(token_pair_id),
        markets=token_pairs.list_pair_markets(token_pair_id),
        activity=by_day(list_of_token_pair(token_pair_id)),
        page=client_markets.list_quoted_clients(token_pair_id=token_pair_id, cursor=cursor),
    )
