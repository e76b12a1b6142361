"""Exchanges over HTTP."""

from collections.abc import Mapping
from typing import Any

from flask import g
from flask.typing import ResponseReturnValue

from pipelabs.audit.events import Event
from pipelabs.core.errors import Stale
from pipelabs.exchanges import queries as exchange_queries
from pipelabs.exchanges import service as exchanges
from pipelabs.exchanges.schemas import (
    ExchangeChanged,
    ExchangeChanges,
    ExchangePatch,
    ExchangeShown,
    ExchangesListed,
    ExchangesQuery,
)
from pipelabs.models import Permission
from pipelabs.web.auth import needs
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.envelope import reply
from pipelabs.web.etags import expected_version
from pipelabs.web.openapi.errors import raises

bp = StrictBlueprint("exchanges", __name__, url_prefix="/admin/exchanges")
STALE = Stale("The exchange has changed: it is at version 4, not 3.")
"""An example for the document."""


@bp.get("")
@needs(Permission.EXCHANGES_READ)
@bp.arguments(ExchangesQuery, location="query")
@bp.response(200, ExchangesListed)
def index(query: Mapping[str, Any]) -> ResponseReturnValue:
    """List exchanges by name, a page at a time."""
    page = exchange_queries.list_exchanges(query, query["size"], query.get("cursor"))
    return reply(exchanges=page.rows, page=page)


@bp.get("/<string:exchange>")
@needs(Permission.EXCHANGES_READ)
@bp.response(200, ExchangeShown, headers={"ETag": "ETag"})
def show(exchange: str) -> ResponseReturnValue:
    """Show one exchange by its slug or an alias, and its counts.

    The ETag is the version of the settings. Counts and facts of the registry are not part of it.
    """
    stored = exchanges.get_exchange(exchange)
    counts = exchange_queries.get_counts(stored.slug)
    return reply(exchange=stored, counts=counts, etag=str(stored.version))


@bp.patch("/<string:exchange>")
@needs(Permission.EXCHANGES_WRITE, refused=Event.EXCHANGE_CHANGE_DENIED)
@bp.arguments(ExchangePatch)
@bp.response(200, ExchangeChanged, headers={"ETag": "ETag"})
@raises(STALE)
def update(changes: ExchangeChanges, exchange: str) -> ResponseReturnValue:
    """Enable, disable or configure an exchange.

    No market and no key can be added on a disabled exchange. Existing ones stay. `config` replaces
    all settings.
    """
    updated = exchanges.update_exchange(exchange, changes, g.actor, version=expected_version())
    return reply(exchange=updated, etag=str(updated.version))
