"""Exchanges over HTTP."""

from collections.abc import Mapping
from typing import Any

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
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("exchanges", __name__, url_prefix="/admin/exchanges")
STALE = Stale("The exchange has changed: it is at version 4, not 3.")
"""An example for the document."""


@bp.operation(
    "GET", "", permission=Permission.EXCHANGES_READ, query=ExchangesQuery, response=ExchangesListed
)
def index(query: Mapping[str, Any]) -> Reply:
    """List exchanges by name, a page at a time."""
    page = exchange_queries.list_exchanges(query, query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "GET",
    "/<string:exchange>",
    permission=Permission.EXCHANGES_READ,
    response=ExchangeShown,
    has_etag=True,
)
def show(exchange: str) -> Reply:
    """Show one exchange by its slug or an alias, and its counts.

    The ETag is the version of the settings. Counts and facts of the registry are not part of it.
    """
    stored = exchanges.get_exchange(exchange)
    counts = exchange_queries.get_counts(stored.slug)
    return reply(exchange=stored, counts=counts, etag=str(stored.version))


@bp.operation(
    "PATCH",
    "/<string:exchange>",
    permission=Permission.EXCHANGES_WRITE,
    denied_event=Event.EXCHANGE_CHANGE_DENIED,
    body=ExchangePatch,
    response=ExchangeChanged,
    has_etag=True,
    errors=(STALE,),
)
def update(data: ExchangeChanges, exchange: str) -> Reply:
    """Enable, disable or configure an exchange.

    No market and no key can be added on a disabled exchange. Existing ones stay. `config` replaces
    all settings.
    """
    version = expected_version()
    updated = exchanges.update_exchange(exchange, data, current_actor(), version=version)
    return reply(exchange=updated, etag=str(updated.version))
