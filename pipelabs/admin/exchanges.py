"""Pages of exchanges."""

from typing import NamedTuple

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit.events import Event
from pipelabs.core.schemas.pagination import SIZES
from pipelabs.exchanges import queries as exchange_queries
from pipelabs.exchanges import registry
from pipelabs.exchanges import service as exchanges
from pipelabs.exchanges.schemas import ExchangeChanges, ExchangeEdit, ExchangesQuery, StatusChange
from pipelabs.models import Permission
from pipelabs.models.exchanges import Kind
from pipelabs.web.auth import needs
from pipelabs.web.forms import Form, posted, query

bp = Blueprint("exchanges", __name__, url_prefix="/exchanges")
FILTERS = ("q", "kind", "is_enabled")
CONFIRM = "admin/exchanges/confirm.html"


class Act(NamedTuple):
    """What is about to be done to an exchange: the button, what follows, and whether it hurts."""

    verb: str
    follows: str
    kind: str
    is_enabled: bool


DISABLE = Act(
    "Disable",
    "No market and no API key can be added there from now on. What is there stays: clients are"
    " quoted as before, and keys can be used, replaced and revoked.",
    "danger",
    is_enabled=False,
)
ENABLE = Act("Enable", "Markets and API keys can be added there again.", "primary", is_enabled=True)


@bp.get("")
@needs(Permission.EXCHANGES_READ)
def index() -> ResponseReturnValue:
    """List exchanges; search, filters and size are in the address."""
    asked = query(ExchangesQuery)
    page = exchange_queries.list_exchanges(asked, asked["size"], asked.get("cursor"))
    kept = {name: text for name, text in request.args.items() if text and name != "cursor"}
    return render_template(
        "admin/exchanges/index.html",
        page=page,
        asked=asked,
        kept=kept,
        kinds=Kind,
        sizes=SIZES,
        is_narrowed=any(name in kept for name in FILTERS),
    )


@bp.get("/<string:exchange>")
@needs(Permission.EXCHANGES_READ)
def show(exchange: str) -> ResponseReturnValue:
    """Show an exchange, what is set for it, and how much there is at it."""
    found = exchanges.get_exchange(exchange)
    counts = exchange_queries.get_counts(found.slug)
    return render_template(
        "admin/exchanges/show.html",
        exchange=found,
        counts=counts,
        can_be_probed=registry.can_be_probed(found.slug),
    )


@bp.get("/<string:exchange>/edit")
@needs(Permission.EXCHANGES_WRITE)
def edit(exchange: str) -> ResponseReturnValue:
    """Show the form of what is set for an exchange."""
    found = exchanges.get_exchange(exchange)
    form = Form(ExchangeEdit, {**found.config, "version": found.version})
    return render_template("admin/exchanges/edit.html", form=form, exchange=found)


@bp.post("/<string:exchange>/edit")
@needs(Permission.EXCHANGES_WRITE, refused=Event.EXCHANGE_CHANGE_DENIED)
def update(exchange: str) -> ResponseReturnValue:
    """Configure an exchange; what is left empty is unset."""
    found = exchanges.get_exchange(exchange)
    config, version = posted(ExchangeEdit, "admin/exchanges/edit.html", exchange=found).load()
    changes = ExchangeChanges(config=config)
    changed = exchanges.update_exchange(found.slug, changes, g.actor, version=version)
    flash(f"{changed.name} was saved.", "success")
    return redirect(url_for("admin.exchanges.show", exchange=changed.slug), 303)


@bp.get("/<string:exchange>/disable")
@needs(Permission.EXCHANGES_WRITE)
def disable(exchange: str) -> ResponseReturnValue:
    """Ask whether an exchange shall be disabled."""
    return _ask(exchange, DISABLE)


@bp.post("/<string:exchange>/disable")
@needs(Permission.EXCHANGES_WRITE, refused=Event.EXCHANGE_CHANGE_DENIED)
def confirm_disable(exchange: str) -> ResponseReturnValue:
    """Disable an exchange."""
    return _do(exchange, DISABLE)


@bp.get("/<string:exchange>/enable")
@needs(Permission.EXCHANGES_WRITE)
def enable(exchange: str) -> ResponseReturnValue:
    """Ask whether an exchange shall be enabled."""
    return _ask(exchange, ENABLE)


@bp.post("/<string:exchange>/enable")
@needs(Permission.EXCHANGES_WRITE, refused=Event.EXCHANGE_CHANGE_DENIED)
def confirm_enable(exchange: str) -> ResponseReturnValue:
    """Enable an exchange."""
    return _do(exchange, ENABLE)


def _ask(name: str, act: Act) -> ResponseReturnValue:
    found = exchanges.get_exchange(name)
    counts = exchange_queries.get_counts(found.slug)
    return render_template(CONFIRM, exchange=found, counts=counts, act=act)


def _do(name: str, act: Act) -> ResponseReturnValue:
    """Take what the page of `_ask` sends; an error from here on shows that page again."""
    found = exchanges.get_exchange(name)
    counts = exchange_queries.get_counts(found.slug)
    data = posted(StatusChange, CONFIRM, exchange=found, counts=counts, act=act).load()
    changes = ExchangeChanges(is_enabled=act.is_enabled)
    moved = exchanges.update_exchange(found.slug, changes, g.actor, version=data["version"])
    flash(f"{moved.name} is {'enabled' if moved.is_enabled else 'disabled'} now.", "success")
    return redirect(url_for("admin.exchanges.show", exchange=moved.slug), 303)
