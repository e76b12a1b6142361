"""The grid of one client's pairs and exchanges."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.markets.client_markets import SELECT_ROWS
from pipelabs.markets.token_pairs import SYMBOL_COLUMN
from pipelabs.models import ClientMarket, Market, TokenPair


@dataclass(frozen=True, slots=True)
class Grid:
    """A page of a client's pairs and their markets: symbol → exchange → row, in order."""

    page: Page[TokenPair]
    exchanges: list[str]
    lines: dict[str, dict[str, Row[*tuple[Any, ...]]]]


def build_grid(client_id: UUID, size: int = 50, cursor: str | None = None) -> Grid:
    """Return the markets of one page of the pairs in which the client is or was quoted."""
    is_of_client = ClientMarket.client_id == client_id
    quoted = select(Market.token_pair_id).join(ClientMarket).where(is_of_client)
    pairs = select(TokenPair).where(TokenPair.id.in_(quoted))
    page = page_of(pairs.order_by(SYMBOL_COLUMN, TokenPair.id), size, cursor)
    lines: dict[str, dict[str, Row[*tuple[Any, ...]]]] = {pair.symbol: {} for pair in page.rows}
    is_on_page = Market.token_pair_id.in_([pair.id for pair in page.rows])
    for row in db.session.execute(SELECT_ROWS.where(is_of_client, is_on_page)):
        lines[row.symbol][row.exchange] = row
    return Grid(page, sorted({slug for line in lines.values() for slug in line}), lines)
