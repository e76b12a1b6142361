"""The place of a client in a list of clients, and the clients beside it."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, bindparam, func, literal, select, tuple_

from pipelabs.clients.queries import SORT_COLUMNS, filter_conditions
from pipelabs.core.db import db
from pipelabs.core.pagination import MAX_COUNTED
from pipelabs.models import Client
from pipelabs.models.clients import ClientSort


class Neighbours(NamedTuple):
    """The clients before and after one in a list, and its place.

    `position` is None if the client is not in the list any more, or behind `MAX_COUNTED` others.
    `total` is the length of the list, at most `MAX_COUNTED + 1`.
    """

    previous: UUID | None
    next: UUID | None
    position: int | None
    total: int


def find_neighbours(
    client_id: UUID, filters: Mapping[str, Any], sort: ClientSort = ClientSort.CREATED_AT_DOWN
) -> Neighbours:
    """Return the neighbours of a client in the list that `list_clients` returns.

    They are found by the keys that the list is sorted by, so they cost the same anywhere in it. A
    client that no longer matches the filters has the neighbours that it would have.
    """
    column = SORT_COLUMNS[sort.removeprefix("-")]
    own_id = bindparam("own_id", client_id, type_=Uuid())
    own_key = select(column).select_from(Client).where(Client.id == own_id).correlate(None)
    keys, own_keys = tuple_(column, Client.id), tuple_(own_key.scalar_subquery(), own_id)
    conditions = list(filter_conditions(filters))
    up, down = [column.asc(), Client.id.asc()], [column.desc(), Client.id.desc()]
    before, after = keys < own_keys, keys > own_keys
    if sort.startswith("-"):
        before, after, up, down = after, before, down, up
    row = db.session.execute(
        select(
            _first([before, *conditions], down),
            _first([after, *conditions], up),
            _count([before, *conditions]),
            _count([Client.id == own_id, *conditions]),
            _count(conditions),
        )
    ).one()
    previous_id, next_id, ahead, is_listed, total = row
    position = ahead + 1 if is_listed and ahead < MAX_COUNTED else None
    return Neighbours(previous_id, next_id, position, total)


def _first(conditions: list[ColumnElement[bool]], order: list[Any]) -> Any:
    query = select(Client.id).where(*conditions).order_by(*order).limit(1)
    return query.scalar_subquery()


def _count(conditions: list[ColumnElement[bool]]) -> Any:
    """Return the number of clients, at most `MAX_COUNTED + 1`."""
    some = select(literal(1)).select_from(Client).where(*conditions).limit(MAX_COUNTED + 1)
    return select(func.count()).select_from(some.subquery()).scalar_subquery()
