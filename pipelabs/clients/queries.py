"""Lists of clients, and the events of a client."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, bindparam, func, literal_column, select
from sqlalchemy.orm import undefer

from pipelabs.audit.events import ROUTINE
from pipelabs.clients.service import NOT_FOUND, TABLE
from pipelabs.core.db import Prepared, db, run_prepared
from pipelabs.core.errors import NotFound
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import AuditEvent, Client, Status
from pipelabs.models.clients import LOWER_NAME, SEARCH_TEXT, ClientSort

SEARCH_COLUMN = literal_column(SEARCH_TEXT, Text())
NAME_COLUMN = literal_column(LOWER_NAME, Text())
INDEXED = re.compile(r"[^\W_]{3}")
"""A search needs three letters or digits in a row, or its index would have to be read whole."""
SORT_COLUMNS: Mapping[str, Any] = {
    "created_at": Client.created_at,
    "name": NAME_COLUMN,
    "updated_at": Client.updated_at,
}


FIND_CLIENT = Prepared(
    "find_client",
    select(*TABLE.c, Client.symbols).where(TABLE.c.id == bindparam("client_id")),
    reads=True,
)


def read_client(client_id: UUID) -> Any:
    """Return the row of the client with its `symbols`, or raise `NotFound`."""
    if rows := run_prepared(FIND_CLIENT, {"client_id": client_id}):
        return rows[0]
    raise NotFound(NOT_FOUND)


def list_clients(
    filters: Mapping[str, Any],
    sort: ClientSort = ClientSort.CREATED_AT_DOWN,
    size: int = 50,
    cursor: str | None = None,
    *,
    has_symbols: bool = False,
    is_counted: bool = True,
) -> Page[Client]:
    """Return one page of the clients that match every filter.

    `filters` is what `ClientsQuery` loads: `q`, part of the name, wallet or e-mail address in any
    case, or the beginning of the name if `q` has no three letters or digits in a row, the whole
    `wallet_address`, `tier`, `status` and `chain`, and the times of creation and of the last
    change. `has_symbols` also loads each client's `symbols`. Raise
    `InvalidInput` for a cursor of another list.
    """
    query = select(Client).where(*filter_conditions(filters))
    if has_symbols:
        query = query.options(undefer(Client.symbols))
    columns = (SORT_COLUMNS[sort.removeprefix("-")], Client.id)
    order = [column.desc() if sort.startswith("-") else column.asc() for column in columns]
    return page_of(query.order_by(*order), size, cursor, is_counted=is_counted)


def list_names(client_ids: Collection[UUID]) -> dict[str, str]:
    """Return id → name of these clients."""
    query = select(Client.id, Client.name).where(Client.id.in_(client_ids))
    return {str(row.id): row.name for row in db.session.execute(query)}


def list_events(client_id: UUID, limit: int) -> Sequence[AuditEvent]:
    """Return the events of the client, newest first, without those of `ROUTINE`."""
    query = select(AuditEvent).where(
        AuditEvent.client_id == client_id, AuditEvent.event.not_in(ROUTINE)
    )
    return db.session.scalars(query.order_by(AuditEvent.id.desc()).limit(limit)).all()


def filter_conditions(filters: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of the filters that `list_clients` takes.

    They are those of `ClientsQuery`, and `is_open`, which leaves out offboarded clients.
    """
    if q := filters.get("q"):
        # PostgreSQL lowers both sides, because Python lowers some letters differently.
        lowered = func.lower(escape_like(q))
        is_word = INDEXED.search(q)
        yield SEARCH_COLUMN.contains(lowered) if is_word else NAME_COLUMN.startswith(lowered)
    if wallet := filters.get("wallet_address"):
        yield Client.wallet_address == wallet.address
    yield from _date_conditions(filters)
    if filters.get("is_open"):
        yield Client.status != Status.OFFBOARDED
    for name in ("tier", "status", "chain"):
        if value := filters.get(name):
            yield getattr(Client, name) == value


def _date_conditions(filters: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    for name, column in (("created", Client.created_at), ("updated", Client.updated_at)):
        if since := filters.get(f"{name}_since"):
            yield column >= since
        if until := filters.get(f"{name}_until"):
            yield column < until


def escape_like(text: str) -> str:
    """Return the text so that LIKE takes each of its characters as it is."""
    for character in "\\%_":
        text = text.replace(character, f"\\{character}")
    return text
