"""The matrix of clients and exchanges, and the grid of one client's pairs and exchanges."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Uuid, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from pipelabs.clients.queries import NAME_COLUMN, filter_conditions
from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.markets.client_markets import SELECT_ROWS
from pipelabs.markets.token_pairs import SYMBOL_COLUMN
from pipelabs.models import Client, ClientMarket, Market, QuotingStatus, TokenPair

HEAT_LEVELS = 5
FEW = 10_000
"""If more markets match, one of about a hundred clients is found among a million."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """The number of pairs in which a client is quoted, by exchange."""

    client: Client
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Return the number of markets on all exchanges."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Matrix:
    """A page of clients, and the exchanges on which they are quoted, in order."""

    page: Page[Client]
    exchanges: list[str]
    rows: list[MatrixRow]
    max: int

    def heat(self, count: int) -> int:
        """Return the level of a count relative to the largest on the page, 0 to 5."""
        return ceil(count / self.max * HEAT_LEVELS)


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


def build_matrix(filters: Mapping[str, Any], size: int = 50, cursor: str | None = None) -> Matrix:
    """Return the counts of one page of the clients that are quoted, by name.

    `filters` is what `MatrixQuery` loads: `q`, `exchange` and `status`. Without a status, delisted
    markets are not counted.
    """
    conditions = _quoting_conditions(filters)
    quoted = select(ClientMarket.client_id).where(*conditions)
    if filters.get("exchange"):  # without this filter the join changes nothing and costs most
        quoted = quoted.join(ClientMarket.market)
    is_found = filter_conditions({"q": filters.get("q")})
    query = select(Client).where(_is_quoted(quoted), *is_found)
    # Counting would look for the markets of every client.
    page = page_of(query.order_by(NAME_COLUMN, Client.id), size, cursor, is_counted=False)
    counts: dict[UUID, dict[str, int]] = {client.id: {} for client in page.rows}
    for client_id, exchange, count in _count_markets(list(counts), conditions):
        counts[client_id][exchange] = count
    rows = [MatrixRow(client, counts[client.id]) for client in page.rows]
    exchanges = sorted({slug for row in rows for slug in row.counts})
    largest = max((count for row in rows for count in row.counts.values()), default=0)
    return Matrix(page, exchanges, rows, largest)


def _is_quoted(quoted: Select[UUID]) -> ColumnElement[bool]:
    """Return the condition that the query has the client.

    If it has few, PostgreSQL gets their ids. It takes them for more than they are, and would look
    for the markets of every client by name until it has a page.
    """
    some = select(func.count()).select_from(quoted.limit(FEW + 1).subquery())
    if db.session.scalars(some).one() > FEW:
        return quoted.where(ClientMarket.client_id == Client.id).exists()
    ids = db.session.scalars(quoted.distinct()).all()
    return Client.id == any_(bindparam(None, list(ids), type_=ARRAY(Uuid())))


def _quoting_conditions(filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    status = filters.get("status")
    has_status = ClientMarket.status == status
    conditions = [has_status if status else ClientMarket.status != QuotingStatus.DELISTED]
    if exchange := filters.get("exchange"):
        conditions.append(Market.exchange == exchange)
    return conditions


def _count_markets(client_ids: list[UUID], conditions: list[ColumnElement[bool]]) -> Any:
    keys = (ClientMarket.client_id, Market.exchange)
    query = select(*keys, func.count()).select_from(ClientMarket).join(ClientMarket.market)
    query = query.where(ClientMarket.client_id.in_(client_ids), *conditions)
    return db.session.execute(query.group_by(*keys))
