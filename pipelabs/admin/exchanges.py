"""Pages of exchanges."""

from typing import Any, NamedTuple

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.activity.queries import list_of_exchange
from pipelabs.admin import bulk
from pipelabs.audit.events import Event
from pipelabs.bulk.exchanges import ExchangesTarget
from pipelabs.core.schemas.pagination import SIZES
from pipelabs.exchanges import queries as exchange_queries
from pipelabs.exchanges import registry
from pipelabs.exchanges import service as exchanges
from pipelabs.exchanges.schemas import ExchangeChanges, ExchangeEdit, ExchangesQuery, StatusChange
from pipelabs.markets.symbols import format_exchange_symbol
from pipelabs.models import Exchange, Permission
from pipelabs.models.exchanges import Kind
from pipelabs.models.token_pairs import Symbol
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("exchanges", __name__, url_prefix="/exchanges")
EXCHANGES = ExchangesTarget()
bulk.add_routes(bp, ExchangesTarget, Permission.EXCHANGES_WRITE, Event.EXCHANGE_BULK_CHANGE_DENIED)
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


@bp.operation("GET", "", permission=Permission.EXCHANGES_READ)
def index() -> ResponseReturnValue:
    """List exchanges; search, filters and size are in the address."""
    asked = query(ExchangesQuery)
    page = exchange_queries.list_exchanges(asked, asked["size"], asked.get("cursor"))
    kept = {name: text for name, text in request.args.items() if text and name != "cursor"}
    return render_template(
        "admin/exchanges/index.html",
        page=page,
        asked=asked,
        target=EXCHANGES,
        kept=kept,
        kinds=Kind,
        sizes=sorted({*SIZES, asked["size"]}),
        is_narrowed=any(name in kept for name in FILTERS),
    )


@bp.operation("GET", "/<string:exchange>", permission=Permission.EXCHANGES_READ)
def show(exchange: str) -> ResponseReturnValue:
    """Show an exchange, what is set for it, and how much there is at it."""
    found = exchanges.get_exchange(exchange)
    counts = exchange_queries.get_counts(found.slug)
    return render_template(
        "admin/exchanges/show.html",
        activity=by_day(list_of_exchange(found.slug)),
        exchange=found,
        counts=counts,
        example=format_exchange_symbol(Symbol("BTC", "USDT"), found.symbol_style),
        can_be_probed=registry.can_be_probed(found.slug),
    )


@bp.operation("GET", "/<string:exchange>/edit", permission=Permission.EXCHANGES_WRITE)
def edit(exchange: str) -> ResponseReturnValue:
    """Show the form of what is set for an exchange."""
    found = exchanges.get_exchange(exchange)
    return render_template("admin/exchanges/edit.html", form=_stored(found), exchange=found)


@bp.operation(
    "POST",
    "/<string:exchange>/edit",
    permission=Permission.EXCHANGES_WRITE,
    denied_event=Event.EXCHANGE_CHANGE_DENIED,
    form=ExchangeEdit,
    status=303,
)
def update(exchange: str) -> ResponseReturnValue:
    """Configure an exchange; what is left empty is unset."""
    found = exchanges.get_exchange(exchange)
    form = submitted_form(
        ExchangeEdit, "admin/exchanges/edit.html", exchange=found, stored=_stored(found)
    )
    config, version = form.load()
    changes = ExchangeChanges(config=config)
    changed = exchanges.update_exchange(found.slug, changes, current_actor(), version=version)
    flash(f"{changed.name} saved.", "success")
    return redirect(url_for("admin.exchanges.show", exchange=changed.slug), 303)


@bp.operation("GET", "/<string:exchange>/disable", permission=Permission.EXCHANGES_WRITE)
def disable(exchange: str) -> ResponseReturnValue:
    """Show the confirm page to disable an exchange."""
    return _ask(exchange, DISABLE)


@bp.operation(
    "POST",
    "/<string:exchange>/disable",
    permission=Permission.EXCHANGES_WRITE,
    denied_event=Event.EXCHANGE_CHANGE_DENIED,
    status=303,
)
def confirm_disable(exchange: str) -> ResponseReturnValue:
    """Disable an exchange."""
    return _do(exchange, DISABLE)


@bp.operation("GET", "/<string:exchange>/enable", permission=Permission.EXCHANGES_WRITE)
def enable(exchange: str) -> ResponseReturnValue:
    """Show the confirm page to enable an exchange."""
    return _ask(exchange, ENABLE)


@bp.operation(
    "POST",
    "/<string:exchange>/enable",
    permission=Permission.EXCHANGES_WRITE,
    denied_event=Event.EXCHANGE_CHANGE_DENIED,
    status=303,
)
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
    data = submitted_form(StatusChange, CONFIRM, **_page(found, act)).load()
    changes = ExchangeChanges(is_enabled=act.is_enabled)
    before = bulk.remember(EXCHANGES, found)
    moved = exchanges.update_exchange(found.slug, changes, current_actor(), version=data["version"])
    bulk.tell(f"{moved.name} is now {'enabled' if moved.is_enabled else 'disabled'}.", before)
    return redirect(url_for("admin.exchanges.show", exchange=moved.slug), 303)


def _page(exchange: Exchange, act: Act) -> dict[str, Any]:
    counts = exchange_queries.get_counts(exchange.slug)
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
