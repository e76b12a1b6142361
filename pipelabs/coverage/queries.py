"""The coverage of clients: pages of it, its counts, and that of one client."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Uuid,
    any_,
    bindparam,
    false,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from pipelabs.clients.queries import NAME_COLUMN, filter_conditions
from pipelabs.clients.service import get_client
from pipelabs.core.cache import remember
from pipelabs.core.db import db
from pipelabs.core.pagination import MAX_COUNTED, Page, page_of
from pipelabs.coverage.rules import (
    GAPS,
    IS_QUOTED,
    Cell,
    Coverage,
    CoverageFilter,
    counts,
    judge,
    select_cells,
    select_clients,
    select_pairs,
)
from pipelabs.models import Client, ClientMarket, ExchangeAPIKey, Market
from pipelabs.vault.signing import COLUMNS

T = TypeVar("T")
FEW = 10_000
"""If more rows match, one of about a hundred clients is found among a million."""
LARGE = 50_000
"""Client markets of a book that takes long to count. The figures of a smaller one are current."""


class Totals(NamedTuple):
    """The number of active client markets, and of gaps."""

    markets: int
    gaps: int


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """A client and its cells, by exchange."""

    client: Client
    cells: Sequence[Cell]

    @property
    def by_exchange(self) -> dict[str, Cell]:
        """Return exchange → cell."""
        return {cell.exchange: cell for cell in self.cells}

    @property
    def total(self) -> Totals:
        """Return the totals of the client."""
        return _add_up(self.cells)


@dataclass(frozen=True, slots=True)
class CoveragePage:
    """A page of clients, and the cells that match the filters."""

    page: Page[Client]
    rows: list[CoverageRow]

    @property
    def totals(self) -> dict[str, Totals]:
        """Return the totals of the page: exchange → totals, in order."""
        cells: dict[str, list[Cell]] = {}
        for row in self.rows:
            for cell in row.cells:
                cells.setdefault(cell.exchange, []).append(cell)
        return {exchange: _add_up(cells[exchange]) for exchange in sorted(cells)}

    @property
    def total(self) -> Totals:
        """Return the totals of all exchanges."""
        return _add_up([cell for row in self.rows for cell in row.cells])


def list_coverage(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> CoveragePage:
    """Return one page of the clients that have a cell which matches every filter, by name.

    `filters` is what `CoverageQuery` loads: `q`, part of the client's name, wallet or e-mail
    address, `pair`, part of a symbol, `exchange` and `status`. Only cells that match are in the
    rows. With `pair` only its markets are counted.
    """
    is_found = filter_conditions({"q": filters.get("q")})
    query = select(Client).where(_has_cell(filters), *is_found)
    # Counting would look for the cells of every client.
    page = page_of(query.order_by(NAME_COLUMN, Client.id), size, cursor, is_counted=False)
    # A client that was remembered may have no such cell any more, or one whose key was altered.
    rows = [row for row in _build_rows(page.rows, filters) if row.cells]
    return CoveragePage(page, rows)


def coverage_of(client_id: UUID) -> CoverageRow:
    """Return the coverage of one client, or raise `NotFound`."""
    [row] = _build_rows([get_client(client_id)], {})
    return row


def coverage_of_clients(clients: Sequence[Client]) -> list[CoverageRow]:
    """Return the coverage of each of these clients."""
    return _build_rows(clients, {})


def count_coverage() -> Mapping[Coverage, int]:
    """Return the number of cells of each kind, of all clients, at most `MAX_COUNTED + 1`.

    In a book of more than `LARGE` client markets they are at most `FIGURES_TTL_S` old.
    """
    return _remember_if_large("coverage", _count_cells)


def count_gaps() -> int:
    """Return the number of gaps of all clients, as `count_coverage` does."""
    cells = count_coverage()
    return min(sum(cells[kind] for kind in GAPS), MAX_COUNTED + 1)


def _add_up(cells: Collection[Cell]) -> Totals:
    return Totals(sum(cell.markets for cell in cells), sum(cell.is_gap for cell in cells))


def _remember_if_large(key: str, count: Callable[[], T]) -> T:
    return remember(key, count) if remember("coverage.is_large", _is_large) else count()


def _is_large() -> bool:
    some = select(ClientMarket.id).limit(LARGE + 1).subquery()
    return db.session.scalars(select(func.count()).select_from(some)).one() > LARGE


def _has_cell(filters: Mapping[str, Any]) -> ColumnElement[bool]:
    """Return the condition that a client has a cell which matches.

    If few clients do, PostgreSQL gets their ids. It takes them for more than they are, and would
    look for the cells of every client by name until it has a page.
    """
    kind, exchange, pair = (filters.get(name) for name in ("status", "exchange", "pair"))
    queries = select_clients(kind, exchange, pair)
    if not queries:
        return false()

    def are_few() -> bool:
        some = union_all(*queries).limit(FEW + 1).subquery()
        return db.session.scalars(select(func.count()).select_from(some)).one() <= FEW

    found = select(union_all(*queries).subquery()).distinct()
    if exchange or pair:
        if are_few():
            # Sending the ids back would take as long as finding them.
            return Client.id == any_(func.array(found.scalar_subquery()))
    else:
        [ids] = _remember_if_large(
            f"coverage.{kind}", lambda: (db.session.scalars(found).all() if are_few() else None,)
        )
        if ids is not None:
            return Client.id == any_(bindparam(None, list(ids), type_=ARRAY(Uuid())))
    own = (query.where(query.selected_columns[0] == Client.id) for query in queries)
    # OFFSET 0, or PostgreSQL may read all that matches and sort it.
    return or_(*(query.correlate(Client).offset(0).exists() for query in own))


def _build_rows(clients: Sequence[Client], filters: Mapping[str, Any]) -> list[CoverageRow]:
    """Return the cells of these clients that match the filters, by exchange."""
    ids, status = [client.id for client in clients], filters.get("status")
    kinds = status.kinds if isinstance(status, CoverageFilter) else frozenset(Coverage)
    markets = _count_markets(ids, filters)
    keys = _list_keys(ids, filters)
    cells: dict[UUID, list[Cell]] = {client_id: [] for client_id in ids}
    for place in sorted({*markets} if filters.get("pair") else {*markets, *keys}):
        client_id, exchange = place
        cell = judge(exchange, markets.get(place, 0), keys.get(place, ()))
        if cell.coverage in kinds:
            cells[client_id].append(cell)
    return [CoverageRow(client, cells[client.id]) for client in clients]


def _count_markets(
    client_ids: Sequence[UUID], filters: Mapping[str, Any]
) -> dict[tuple[UUID, str], int]:
    quoted = (
        select(ClientMarket.client_id, Market.exchange, Market.token_pair_id)
        .join(ClientMarket.market)
        .where(ClientMarket.client_id.in_(client_ids), IS_QUOTED)
    )
    if exchange := filters.get("exchange"):
        quoted = quoted.where(Market.exchange == exchange)
    # Materialized, or PostgreSQL may begin with all markets of the pairs.
    own = quoted.cte("quoted").prefix_with("MATERIALIZED")
    place = (own.c.client_id, own.c.exchange)
    query = select(*place, func.count()).group_by(*place)
    if pair := filters.get("pair"):
        query = query.where(own.c.token_pair_id.in_(select_pairs(pair)))
    rows = db.session.execute(query)
    return {(client_id, slug): count for client_id, slug, count in rows}


def _list_keys(
    client_ids: Sequence[UUID], filters: Mapping[str, Any]
) -> dict[tuple[UUID, str], list[Any]]:
    """Return the keys that count, newest first."""
    query = select(*COLUMNS).where(ExchangeAPIKey.client_id.in_(client_ids), counts())
    if exchange := filters.get("exchange"):
        query = query.where(ExchangeAPIKey.exchange == exchange)
    keys: dict[tuple[UUID, str], list[Any]] = {}
    for key in db.session.execute(query.order_by(ExchangeAPIKey.id.desc())):
        keys.setdefault((key.client_id, key.exchange), []).append(key)
    return keys


def _count_cells() -> dict[Coverage, int]:
    figures = []
    for kind in Coverage:
        [cells] = select_cells(CoverageFilter(kind.value))
        some = cells.distinct().limit(MAX_COUNTED + 1).subquery()
        figures.append(select(func.count()).select_from(some).scalar_subquery())
    return dict(zip(Coverage, db.session.execute(select(*figures)).one(), strict=True))
