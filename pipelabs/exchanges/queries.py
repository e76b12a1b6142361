"""Lists of exchanges, and how much there is at one."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, distinct, func, select

from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import ClientMarket, Exchange, ExchangeAPIKey, KeyStage, Market

NAMES = func.concat_ws(
    "\n", Exchange.name, Exchange.slug, func.array_to_string(Exchange.aliases, "\n")
)
"""Where a search looks, a line each."""


class Counts(NamedTuple):
    """How many markets the desk knows there, clients it quotes there, and keys it holds."""

    markets: int
    clients: int
    api_keys: int


def list_exchanges(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[Exchange]:
    """Return one page of the exchanges that fit every filter, by name.

    `filters` is what `ExchangesQuery` loads: `q`, a part of name, slug or alias in any case,
    `kind` and `is_enabled`. Raise `InvalidInput` for a cursor of another list.
    """
    wanted = select(Exchange).where(*_conditions(filters))
    return page_of(wanted.order_by(func.lower(Exchange.name), Exchange.slug), size, cursor)


def counts_of(slug: str) -> Counts:
    """Return how much there is at the exchange; a destroyed key is none."""
    markets = select(func.count()).where(Market.exchange == slug)
    clients = (
        select(func.count(distinct(ClientMarket.client_id)))
        .join(Market, ClientMarket.market_id == Market.id)
        .where(Market.exchange == slug)
    )
    keys = select(func.count()).where(
        ExchangeAPIKey.exchange == slug, ExchangeAPIKey.stage != KeyStage.DESTROYED
    )
    asked = (one.scalar_subquery() for one in (markets, clients, keys))
    return Counts(*db.session.execute(select(*asked)).one())


def _conditions(filters: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    if q := filters.get("q"):
        yield NAMES.icontains(q, autoescape=True)
    if kind := filters.get("kind"):
        yield Exchange.kind == kind
    if (is_enabled := filters.get("is_enabled")) is not None:
        yield Exchange.is_enabled == is_enabled
