"""Pages of exchanges."""

from typing import Any, NamedTuple

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit import Event
from pipelabs.models import Exchange, Permission
from pipelabs.registry import Kind
from pipelabs.schemas.exchanges import ExchangeEdit, ExchangesQuery, StandingMove
from pipelabs.schemas.paging import SIZES
from pipelabs.services import exchange_lists, exchanges
from pipelabs.web.auth import needs
from pipelabs.web.forms import Form, posted, query

bp = Blueprint("exchanges", __name__, url_prefix="/exchanges")
FILTERS = ("q", "kind", "is_enabled")
CONFIRM = "admin/confirm.html"


class Act(NamedTuple):
    """What is about to be done to an exchange: the verb, what follows, and whether it hurts."""

    verb: str
    sentence: str
    is_enabled: bool


DISABLE = Act(
    "Disable",
    "No market and no API key can be added there. Existing ones stay: clients are quoted as before,"
    " and keys can be used, replaced and revoked.",
    is_enabled=False,
)
ENABLE = Act("Enable", "Markets and API keys can be added there again.", is_enabled=True)


@bp.get("")
@needs(Permission.EXCHANGES_READ)
def index() -> ResponseReturnValue:
    """List exchanges; search, filters and size are in the address."""
    asked = query(ExchangesQuery)
    page = exchange_lists.list_exchanges(asked, asked["size"], asked.get("cursor"))
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
    counts = exchange_lists.counts_of(found.slug)
    return render_template("admin/exchanges/show.html", exchange=found, counts=counts)


@bp.get("/<string:exchange>/edit")
@needs(Permission.EXCHANGES_WRITE)
def edit(exchange: str) -> ResponseReturnValue:
    """Show the form of what is set for an exchange."""
    found = exchanges.get_exchange(exchange)
    return render_template("admin/exchanges/edit.html", form=_stored(found), exchange=found)


@bp.post("/<string:exchange>/edit")
@needs(Permission.EXCHANGES_WRITE, refused=Event.EXCHANGE_CHANGE_REFUSED)
def update(exchange: str) -> ResponseReturnValue:
    """Configure an exchange; what is left empty is unset."""
    found = exchanges.get_exchange(exchange)
    form = posted(ExchangeEdit, "admin/exchanges/edit.html", exchange=found, stored=_stored(found))
    config = form.load()
    version = config.pop("version")
    changed = exchanges.update_exchange(found.slug, {"config": config}, g.actor, version=version)
    flash(f"{changed.name} saved.", "success")
    return redirect(url_for("admin.exchanges.show", exchange=changed.slug), 303)


@bp.get("/<string:exchange>/disable")
@needs(Permission.EXCHANGES_WRITE)
def disable(exchange: str) -> ResponseReturnValue:
    """Ask whether an exchange shall be disabled."""
    return _ask(exchange, DISABLE)


@bp.post("/<string:exchange>/disable")
@needs(Permission.EXCHANGES_WRITE, refused=Event.EXCHANGE_CHANGE_REFUSED)
def confirm_disable(exchange: str) -> ResponseReturnValue:
    """Disable an exchange."""
    return _do(exchange, DISABLE)


@bp.get("/<string:exchange>/enable")
@needs(Permission.EXCHANGES_WRITE)
def enable(exchange: str) -> ResponseReturnValue:
    """Ask whether an exchange shall be enabled."""
    return _ask(exchange, ENABLE)


@bp.post("/<string:exchange>/enable")
@needs(Permission.EXCHANGES_WRITE, refused=Event.EXCHANGE_CHANGE_REFUSED)
def confirm_enable(exchange: str) -> ResponseReturnValue:
    """Enable an exchange."""
    return _do(exchange, ENABLE)


def _stored(exchange: Exchange) -> Form:
    return Form(ExchangeEdit, {**exchange.config, "version": exchange.version})


def _ask(name: str, act: Act) -> ResponseReturnValue:
    found = exchanges.get_exchange(name)
    return render_template(CONFIRM, **_page(found, act))


def _do(name: str, act: Act) -> ResponseReturnValue:
    """Take what the page of `_ask` sends; an error from here on shows that page again."""
    found = exchanges.get_exchange(name)
    data = posted(StandingMove, CONFIRM, **_page(found, act)).load()
    wanted = {"is_enabled": act.is_enabled}
    moved = exchanges.update_exchange(found.slug, wanted, g.actor, version=data["version"])
    flash(f"{moved.name} is now {'enabled' if moved.is_enabled else 'disabled'}.", "success")
    return redirect(url_for("admin.exchanges.show", exchange=moved.slug), 303)


def _page(exchange: Exchange, act: Act) -> dict[str, Any]:
    counts = exchange_lists.counts_of(exchange.slug)
    status = "enabled" if exchange.is_enabled else "disabled"
    *first, last = (
        f"{count:,} {noun}{'' if count == 1 else 's'}"
        for noun, count in (
            ("market", counts.markets),
            ("quoted client", counts.clients),
            ("API key", counts.api_keys),
        )
    )
    return {
        "title": f"{act.verb} {exchange.name}",
        "sentences": [
            f"{exchange.name} is {status} and has {', '.join(first)} and {last}.",
            act.sentence,
        ],
        "button": f"{act.verb} exchange",
        "cancel": url_for("admin.exchanges.show", exchange=exchange.slug),
        "is_danger": not act.is_enabled,
        "version": exchange.version,
    }
