"""Clients by exchanges: who is quoted in how many pairs where."""

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

HEATS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """In how many pairs a client is quoted, by exchange."""

    client: Client
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Return in how many markets, over all exchanges."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Matrix:
    """A page of clients, and the exchanges on which some of them are quoted, in order."""

    page: Page[Client]
    exchanges: list[str]
    rows: list[Line]
    max: int

    def heat(self, count: int) -> int:
        """Return how large a count is beside the largest on the page, 0 to 5."""
        return ceil(count / self.max * HEATS)


@dataclass(frozen=True, slots=True)
class Grid:
    """A client's pairs by exchanges: symbol → exchange → row; all in order."""

    exchanges: list[str]
    lines: dict[str, dict[str, Row[*tuple[Any, ...]]]]


def grid(rows: Sequence[Row[*tuple[Any, ...]]]) -> Grid:
    """Return the grid of what `quoted_markets` answers."""
    lines: dict[str, dict[str, Row[*tuple[Any, ...]]]] = {row.symbol: {} for row in rows}
    for row in rows:
        lines[row.symbol][row.exchange] = row
    return Grid(sorted({row.exchange for row in rows}), dict(sorted(lines.items())))


def matrix(filters: Mapping[str, Any], size: int = 50, cursor: str | None = None) -> Matrix:
    """Return the counts of one page of the clients that are quoted, by name.

    `filters` is what `MatrixQuery` loads: `q`, `exchange` and `status`; without a status, what is
    delisted is not counted.
    """
    counted = _counted(filters)
    quoted = select(ClientMarket.id).where(ClientMarket.client_id == Client.id, *counted)
    if filters.get("exchange"):  # else that table says nothing, at most of the cost
        quoted = quoted.join(ClientMarket.market)
    wanted = select(Client).where(quoted.exists(), *filter_conditions({"q": filters.get("q")}))
    page = page_of(wanted.order_by(NAME_COLUMN, Client.id), size, cursor)
    counts: dict[UUID, dict[str, int]] = {client.id: {} for client in page.rows}
    for client_id, exchange, count in _counts(list(counts), counted):
        counts[client_id][exchange] = count
    rows = [Line(client, counts[client.id]) for client in page.rows]
    exchanges = sorted({slug for row in rows for slug in row.counts})
    most = max((count for row in rows for count in row.counts.values()), default=0)
    return Matrix(page, exchanges, rows, most)


def _counted(filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    status = filters.get("status")
    quoted = ClientMarket.status == status
    found = [quoted if status else ClientMarket.status != QuotingStatus.DELISTED]
    if exchange := filters.get("exchange"):
        found.append(Market.exchange == exchange)
    return found


def _counts(client_ids: list[UUID], counted: list[ColumnElement[bool]]) -> Any:
    keys = (ClientMarket.client_id, Market.exchange)
    wanted = select(*keys, func.count()).select_from(ClientMarket).join(ClientMarket.market)
    wanted = wanted.where(ClientMarket.client_id.in_(client_ids), *counted)
    return db.session.execute(wanted.group_by(*keys))
