"""Lists of clients, and of what happened to one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Text, func, literal_column, select
from sqlalchemy.orm import undefer

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import AuditEvent, Client
from pipelabs.models.clients import FOLDED_NAME, SEARCHED, ClientSort

TEXT = literal_column(SEARCHED, Text())
FOLDED = literal_column(FOLDED_NAME, Text())
ORDERS: Mapping[str, Any] = {
    "created_at": Client.created_at,
    "name": FOLDED,
    "updated_at": Client.updated_at,
}


class Change(NamedTuple):
    """What a field was before an event, and after it."""

    field: str
    before: str
    after: str


def list_clients(
    filters: Mapping[str, Any],
    sort: ClientSort = ClientSort.CREATED_AT_DOWN,
    size: int = 50,
    cursor: str | None = None,
    *,
    has_symbols: bool = False,
) -> Page[Client]:
    """Return one page of the clients that fit every filter.

    `filters` is what `ClientsQuery` loads: `q`, a part of name, wallet or e-mail address in any
    case, and `tier`, `status` and `chain`. `has_symbols` reads as well in which pairs
    each is quoted. Raise `InvalidInput` for a cursor of another list.
    """
    wanted = select(Client).where(*conditions(filters))
    if has_symbols:
        wanted = wanted.options(undefer(Client.symbols))
    keys = (ORDERS[sort.removeprefix("-")], Client.id)
    order = [key.desc() if sort.startswith("-") else key.asc() for key in keys]
    return page_of(wanted.order_by(*order), size, cursor)


def events_of(client_id: UUID, limit: int) -> Sequence[AuditEvent]:
    """Return what happened to the client, newest first."""
    wanted = select(AuditEvent).where(AuditEvent.client_id == client_id)
    return db.session.scalars(wanted.order_by(AuditEvent.id.desc()).limit(limit)).all()


def changes_of(event: AuditEvent) -> list[Change]:
    """Return what the event has changed, in the order in which it says so."""
    told = event.details
    if event.event == Event.CLIENT_STATUS_CHANGED:
        return [Change("status", told["from"], told["to"])]
    updates = (Event.CLIENT_UPDATED, Event.CLIENT_MARKET_UPDATED)
    names = told["changed"].split(",") if event.event in updates else []
    return [Change(name, told[f"from_{name}"], told[f"to_{name}"]) for name in names]


def conditions(filters: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    """Yield what a client must be to fit every filter; `filters` as above."""
    if q := filters.get("q"):
        # PostgreSQL folds both sides, so that they agree whatever Python takes for lower case.
        yield TEXT.contains(func.lower(_escaped(q)))
    for name in ("tier", "status", "chain"):
        if value := filters.get(name):
            yield getattr(Client, name) == value


def _escaped(text: str) -> str:
    for sign in "\\%_":
        text = text.replace(sign, f"\\{sign}")
    return text
