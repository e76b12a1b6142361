"""Lists of exchanges, and the counts of one."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, distinct, func, select

from pipelabs.core.cache import remember
from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import ClientMarket, Exchange, ExchangeAPIKey, KeyStage, Market, now

SEARCH_TEXT = func.concat_ws(
    "\n", Exchange.name, Exchange.slug, func.array_to_string(Exchange.aliases, "\n")
)
"""The text that a search looks in, a name per line."""


class Counts(NamedTuple):
    """The number of markets, quoted clients and API keys of an exchange at a time."""

    markets: int
    clients: int
    api_keys: int
    counted_at: datetime


def list_exchanges(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[Exchange]:
    """Return one page of the exchanges that match every filter, by name.

    `filters` is what `ExchangesQuery` loads: `q`, part of the name, slug or alias in any case,
    `kind` and `is_enabled`. Raise `InvalidInput` for a cursor of another list.
    """
    query = select(Exchange).where(*_filter_conditions(filters))
    return page_of(query.order_by(func.lower(Exchange.name), Exchange.slug), size, cursor)


def get_counts(slug: str) -> Counts:
    """Return the counts of the exchange, without destroyed keys, at most `FIGURES_TTL_S` old."""
    return remember(f"exchange:{slug}", lambda: _count(slug))


def _count(slug: str) -> Counts:
    markets = select(func.count()).where(Market.exchange == slug)
    clients = (
        select(func.count(distinct(ClientMarket.client_id)))
        .join(Market, ClientMarket.market_id == Market.id)
        .where(Market.exchange == slug)
    )
    keys = select(func.count()).where(
        ExchangeAPIKey.exchange == slug, ExchangeAPIKey.stage != KeyStage.DESTROYED
    )
    counts = [query.scalar_subquery() for query in (markets, clients, keys)]
    row = db.session.execute(select(*counts)).one()
    return Counts(row[0], row[1], row[2], now())


def _filter_conditions(filters: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    if q := filters.get("q"):
        yield SEARCH_TEXT.icontains(q, autoescape=True)
    if kind := filters.get("kind"):
        yield Exchange.kind == kind
    if (is_enabled := filters.get("is_enabled")) is not None:
        yield Exchange.is_enabled == is_enabled
