"""The grid of one client's pairs and exchanges."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.markets.client_markets import list_client_exchanges
from pipelabs.markets.token_pairs import SYMBOL_COLUMN
from pipelabs.models import ClientMarket, Market, QuotingStatus, TokenPair

MAX_CELLS = 1_300
"""Cells of a page of a grid. A browser lays out a page of many thousands slowly."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A page of a client's pairs and their markets: symbol → exchange → status, in order.

    `exchanges` are those of all pages, so that the columns stay where they are.
    """

    page: Page[TokenPair]
    exchanges: Sequence[str]
    lines: dict[str, dict[str, QuotingStatus]]


def build_grid(client_id: UUID, size: int = 50, cursor: str | None = None) -> Grid:
    """Return the markets of one page of the pairs in which the client is or was quoted.

    A page has fewer pairs than `size` if it would have more than `MAX_CELLS` cells.
    """
    exchanges = list_client_exchanges(client_id)
    size = min(size, MAX_CELLS // max(len(exchanges), 1))
    is_of_client = ClientMarket.client_id == client_id
    quoted = select(Market.token_pair_id).join(ClientMarket).where(is_of_client)
    pairs = select(TokenPair).where(TokenPair.id.in_(quoted))
    page = page_of(pairs.order_by(SYMBOL_COLUMN, TokenPair.id), size, cursor)
    lines: dict[UUID, dict[str, QuotingStatus]] = {pair.id: {} for pair in page.rows}
    cells = (
        select(Market.token_pair_id, Market.exchange, ClientMarket.status)
        .join(ClientMarket)
        .where(is_of_client, Market.token_pair_id.in_(lines))
    )
    for pair_id, exchange, status in db.session.execute(cells):
        lines[pair_id][exchange] = status
    return Grid(page, exchanges, {pair.symbol: lines[pair.id] for pair in page.rows})
