"""The place of a client in a list of clients, and the clients beside it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Uuid,
    and_,
    bindparam,
    case,
    false,
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

Conditions = Sequence[ColumnElement[bool]]


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
    filters has the neighbours that it would have.
    """
    own_id = bindparam("own_id", client_id, type_=Uuid())
    conditions = list(filter_conditions(filters))
    counts = select(_count(conditions), _count([Client.id == own_id, *conditions]))
    total, is_listed = db.session.execute(counts).one()
    is_long = total > MAX_COUNTED
    column = SORT_COLUMNS[sort.removeprefix("-")]
    own_key = select(column).select_from(Client).where(Client.id == own_id).correlate(None)
    keys, own_keys = tuple_(column, Client.id), tuple_(own_key.scalar_subquery(), own_id)
    up, down = [column.asc(), Client.id.asc()], [column.desc(), Client.id.desc()]
    before, after = keys < own_keys, keys > own_keys
    if sort.startswith("-"):
        before, after, up, down = after, before, down, up
    own = _in_order(conditions) if is_long else conditions
    is_counted = is_listed and not (is_long and filters.get("q"))
    ahead = _count([before, *conditions]) if is_counted else literal(MAX_COUNTED)
    query = select(_first([before, *own], down), _first([after, *own], up), ahead)
    previous_id, next_id, place = db.session.execute(query).one()
    return Neighbours(previous_id, next_id, place + 1 if place < MAX_COUNTED else None, total)


def _in_order(conditions: Conditions) -> Conditions:
    """Return the same conditions in a form that no index has.

    Of many rows the next one that matches is near in the order of the list. PostgreSQL takes them
    for fewer than they are, and would sort them all.
    """
    return [case((and_(true(), *conditions), true()), else_=false())]


def _first(conditions: Conditions, order: list[Any]) -> Any:
    query = select(Client.id).where(*conditions).order_by(*order).limit(1)
    return query.scalar_subquery()


def _count(conditions: Conditions) -> Any:
    """Return the number of clients, at most `MAX_COUNTED + 1`."""
    some = select(literal(1)).select_from(Client).where(*conditions).limit(MAX_COUNTED + 1)
    return select(func.count()).select_from(some.subquery()).scalar_subquery()
