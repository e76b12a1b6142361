"""The place of a client in a list of clients, and the clients beside it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Uuid,
    and_,
    bindparam,
    func,
    literal,
    select,
    true,
    tuple_,
)

from pipelabs.clients.queries import SORT_COLUMNS, filter_conditions
from pipelabs.core.db import db
from pipelabs.core.pagination import MAX_COUNTED
from pipelabs.models import Client
from pipelabs.models.clients import ClientSort

Condition = ColumnElement[bool]
Conditions = Sequence[Condition]
NEAR = 2_000
"""Of a million clients, 10,000 match in a list that is too long to count: one in a hundred."""


class Neighbours(NamedTuple):
    """The clients before and after one in a list, and its place.

    `position` is None if it is not known: the client is not in the list any more, is behind
    `MAX_COUNTED` others, or the list is a search with more results than that. `total` is the length
    of the list, at most `MAX_COUNTED + 1`.
    """

    previous: UUID | None
    next: UUID | None
    position: int | None
    total: int


def find_neighbours(
    client_id: UUID, filters: Mapping[str, Any], sort: ClientSort = ClientSort.CREATED_AT_DOWN
) -> Neighbours:
    """Return the neighbours of a client in the list that `list_clients` returns.

    They are found by the keys that the list is sorted by. A client that no longer matches the
    filters has the neighbours that it would have. In a list longer than `MAX_COUNTED` there can be
    none although one is far away.
    """
    own_id = bindparam("own_id", client_id, type_=Uuid())
    conditions = list(filter_conditions(filters))
    counts = select(_count(conditions), _count([Client.id == own_id, *conditions]))
    total, is_listed = db.session.execute(counts).one()
    is_long = total > MAX_COUNTED
    column = SORT_COLUMNS[sort.removeprefix("-")]
    own_key = select(column).select_from(Client).where(Client.id == own_id).correlate(None)
    keys, own_keys = tuple_(column, Client.id), tuple_(own_key.scalar_subquery(), own_id)
    find = _find_near if is_long else _find_first
    is_counted = is_listed and not (is_long and filters.get("q"))
    is_down = sort.startswith("-")
    smaller, larger = (
        find(column, beside, conditions, is_down=is_smaller)
        for beside, is_smaller in ((keys < own_keys, True), (keys > own_keys, False))
    )
    before = keys > own_keys if is_down else keys < own_keys
    ahead = _count([before, *conditions]) if is_counted else literal(MAX_COUNTED)
    smaller_id, larger_id, place = db.session.execute(select(smaller, larger, ahead)).one()
    previous_id, next_id = (larger_id, smaller_id) if is_down else (smaller_id, larger_id)
    return Neighbours(previous_id, next_id, place + 1 if place < MAX_COUNTED else None, total)


def _find_first(column: Any, beside: Condition, conditions: Conditions, *, is_down: bool) -> Any:
    """Return the query for the first client beside the own one that matches."""
    query = select(Client.id).where(beside, *conditions)
    return query.order_by(*_order(column, Client.id, is_down=is_down)).limit(1).scalar_subquery()


def _find_near(column: Any, beside: Condition, conditions: Conditions, *, is_down: bool) -> Any:
    """Return the same query for a list with many clients: it looks at the nearest `NEAR` only.

    One of them matches, unless all that do are far away. PostgreSQL would take them for few and
    sort them all, or read the whole table if there is none.
    """
    matches = and_(true(), *conditions).label("matches")
    nearest = select(Client.id, column.label("key"), matches).where(beside)
    order = _order(column, Client.id, is_down=is_down)
    near = nearest.order_by(*order).limit(NEAR).subquery()
    order = _order(near.c.key, near.c.id, is_down=is_down)
    return select(near.c.id).where(near.c.matches).order_by(*order).limit(1).scalar_subquery()


def _order(*columns: Any, is_down: bool) -> list[Any]:
    return [column.desc() if is_down else column.asc() for column in columns]


def _count(conditions: Conditions) -> Any:
    """Return the number of clients, at most `MAX_COUNTED + 1`."""
    some = select(literal(1)).select_from(Client).where(*conditions).limit(MAX_COUNTED + 1)
    return select(func.count()).select_from(some.subquery()).scalar_subquery()
