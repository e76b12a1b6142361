"""The matrix of clients and exchanges, and the grid of one client's pairs and exchanges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select

from pipelabs.clients.queries import NAME_COLUMN, filter_conditions
from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import Client, ClientMarket, Market, QuotingStatus

HEAT_LEVELS = 5


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
    """A client's markets: symbol → exchange → row, in order."""

    exchanges: list[str]
    lines: dict[str, dict[str, Row[*tuple[Any, ...]]]]


def build_grid(rows: Sequence[Row[*tuple[Any, ...]]]) -> Grid:
    """Return the grid of the rows that `list_all_client_markets` returns."""
    lines: dict[str, dict[str, Row[*tuple[Any, ...]]]] = {row.symbol: {} for row in rows}
    for row in rows:
        lines[row.symbol][row.exchange] = row
    return Grid(sorted({row.exchange for row in rows}), dict(sorted(lines.items())))


def build_matrix(filters: Mapping[str, Any], size: int = 50, cursor: str | None = None) -> Matrix:
    """Return the counts of one page of the clients that are quoted, by name.

    `filters` is what `MatrixQuery` loads: `q`, `exchange` and `status`. Without a status, delisted
    markets are not counted.
    """
    conditions = _quoting_conditions(filters)
    quoted = select(ClientMarket.id).where(ClientMarket.client_id == Client.id, *conditions)
    if filters.get("exchange"):  # without this filter the join changes nothing and costs most
        quoted = quoted.join(ClientMarket.market)
    is_found = filter_conditions({"q": filters.get("q")})
    query = select(Client).where(quoted.exists(), *is_found)
    page = page_of(query.order_by(NAME_COLUMN, Client.id), size, cursor)
    counts: dict[UUID, dict[str, int]] = {client.id: {} for client in page.rows}
    for client_id, exchange, count in _count_markets(list(counts), conditions):
        counts[client_id][exchange] = count
    rows = [MatrixRow(client, counts[client.id]) for client in page.rows]
    exchanges = sorted({slug for row in rows for slug in row.counts})
    largest = max((count for row in rows for count in row.counts.values()), default=0)
    return Matrix(page, exchanges, rows, largest)


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
