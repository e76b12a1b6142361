"""Create clients, change them and move them between statuses."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    CompoundSelect,
    CursorResult,
    Table,
    bindparam,
    literal_column,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import undefer

from pipelabs.audit import trail
from pipelabs.audit.changes import change_facts
from pipelabs.audit.events import Event
from pipelabs.clients.schemas import ClientChanges, NewClient
from pipelabs.core.actor import Actor
from pipelabs.core.commands import differing, set_fields
from pipelabs.core.db import Prepared, db, run_prepared
from pipelabs.core.errors import Duplicate, InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.models import Client, ClientMarket, QuotingStatus, Status, new_id, now

TAKEN = {
    "wallet_address": "A client with this wallet address already exists.",
    "email": "A client with this e-mail address already exists.",
}
NOT_FOUND = "There is no such client."
OFFBOARDED = "Offboarded clients can't be changed."
Row = Mapping[str, Any]
"""Column → value."""
FIELDS = [field.name for field in fields(NewClient)]
RECORDED_FIELDS = [name for name in FIELDS if name != "notes"]
"""What the event of a creation records; notes are too long for it."""
TABLE = cast(Table, Client.__table__)
COLUMNS = [column.key for column in TABLE.columns]
WITH_SYMBOLS = [undefer(Client.symbols)]
TRANSITIONS = {
    Status.ACTIVE: {Status.PAUSED, Status.SUSPENDED, Status.OFFBOARDED},
    Status.PAUSED: {Status.ACTIVE, Status.SUSPENDED, Status.OFFBOARDED},
    Status.SUSPENDED: {Status.ACTIVE, Status.OFFBOARDED},
    Status.OFFBOARDED: set[Status](),
}
"""Status → the statuses that can follow it. `offboarded` is final."""


class Inserted(NamedTuple):
    """The id that the audit row of a new client will have."""

    audit_id: int


class Created(NamedTuple):
    """The row of a new client, and the milliseconds from the request's first byte to its insert."""

    client: Row
    ms: float


def create_client(new: NewClient, actor: Actor) -> Created:
    """Create a client and record it; raise `Duplicate` naming every field that is taken."""
    row = build_row(new, now())
    result = _insert_unless_taken(row)
    if not isinstance(result, Inserted):
        raise Duplicate(
            "Client already exists",
            fields={field: [TAKEN[field]] for field in result},
            existing=result,
        )
    ms = actor.elapsed_ms()
    trail.record(
        Event.CLIENT_CREATED,
        actor,
        client_id=row["id"],
        ms=ms,
        facts=creation_facts(row),
        row_id=result.audit_id,
    )
    return Created(row, ms)


def creation_facts(row: Row) -> dict[str, str]:
    """Return what the event of a creation records."""
    return {name: str(value) for name in RECORDED_FIELDS if (value := row[name])}


def get_client(client_id: UUID, *, has_symbols: bool = False) -> Client:
    """Return the client, or raise `NotFound`. `has_symbols` also loads its `symbols`."""
    options = WITH_SYMBOLS if has_symbols else ()
    if client := db.session.get(Client, client_id, options=options):
        return client
    raise NotFound(NOT_FOUND)


def find_client_by_wallet(wallet_address: str) -> Client | None:
    """Return the client with this wallet address, which is in canonical form."""
    return db.session.scalar(select(Client).where(Client.wallet_address == wallet_address))


def update_client(
    client_id: UUID, changes: ClientChanges, actor: Actor, *, version: int | None = None
) -> Client:
    """Change a client and record the old and new values; record nothing if nothing changes.

    Raise `Stale` if `version` is not the stored one, `InvalidTransition` for an offboarded client,
    and `Duplicate` if another client has the e-mail address.
    """
    stored = _lock_client(client_id, version)
    reject_offboarded(stored)
    changed = differing(stored, set_fields(changes))
    if not changed:
        return stored
    facts = change_facts(stored, changed)
    _store(stored, changed)
    trail.record(Event.CLIENT_UPDATED, actor, client_id=stored.id, facts=facts)
    return stored


def change_status(
    client_id: UUID, status: Status, actor: Actor, *, version: int | None = None
) -> Client:
    """Move the client to another status and record it.

    Offboarding pauses every market of the client. Raise `Stale` if `version` is not the stored
    one, and `InvalidTransition` if the status can't follow the stored one.
    """
    stored = _lock_client(client_id, version)
    reject_transition(stored, status)
    facts = {"from": stored.status.value, "to": status.value}
    _store(stored, {"status": status})
    if status is Status.OFFBOARDED and (paused := _pause_markets(client_id)):
        facts["paused_markets"] = str(paused)
    trail.record(Event.CLIENT_STATUS_CHANGED, actor, client_id=stored.id, facts=facts)
    return stored


def lock_clients(ids: Collection[UUID]) -> None:
    """Lock these clients, by id."""
    query = select(Client.id).where(Client.id.in_(ids)).order_by(Client.id)
    db.session.execute(query.with_for_update())


def reject_offboarded(client: Client) -> None:
    """Raise `InvalidTransition` for an offboarded client, of which nothing can change."""
    if client.status is Status.OFFBOARDED:
        raise InvalidTransition(OFFBOARDED)


def reject_transition(client: Client, status: Status) -> None:
    """Raise `InvalidTransition` if the status can't follow the client's."""
    if status not in TRANSITIONS[client.status]:
        sentence = f"A client that is {client.status} cannot become {status}."
        facts = {"from": client.status.value, "to": status.value}
        raise InvalidTransition(sentence, fields={"status": [sentence]}, facts=facts)


def _lock_client(client_id: UUID, version: int | None) -> Client:
    """Return the client, locked and read again, so that concurrent changes see each other."""
    stored = db.session.get(Client, client_id, with_for_update=True, populate_existing=True)
    if not stored:
        raise NotFound(NOT_FOUND)
    reject_stale("The client", stored.version, version)
    return stored


def _store(stored: Client, changed: Mapping[str, Any]) -> None:
    """Write the changes as a new version; only the unique index decides on the e-mail address."""
    if not changed.get("email"):
        _set(stored, changed)
        # A second change in this transaction reads the row again, so this one is sent first.
        db.session.flush()
        return
    try:
        with db.session.begin_nested():
            _set(stored, changed)
    except IntegrityError:
        email = changed["email"]
        existing_id = db.session.scalar(select(Client.id).where(Client.email == email))
        if not existing_id:
            raise
        raise Duplicate(
            "Client already exists",
            fields={"email": [TAKEN["email"]]},
            existing={"email": str(existing_id)},
        ) from None


def _set(stored: Client, changed: Mapping[str, Any]) -> None:
    for name, value in changed.items():
        setattr(stored, name, value)
    stored.version, stored.updated_at = stored.version + 1, now()


def _pause_markets(client_id: UUID) -> int:
    """Pause every active market of the client; return how many there were.

    They are locked by market, as a delisting of several markets locks them.
    """
    is_active = ClientMarket.status == QuotingStatus.ACTIVE
    active = select(ClientMarket.id).where(ClientMarket.client_id == client_id, is_active)
    active = active.order_by(ClientMarket.market_id).with_for_update()
    changes = {
        "status": QuotingStatus.PAUSED,
        "updated_at": now(),
        "version": ClientMarket.version + 1,
    }
    statement = update(ClientMarket).where(ClientMarket.id.in_(active))
    options = {"synchronize_session": False}
    paused = db.session.execute(statement.values(changes), execution_options=options)
    return cast(CursorResult[Any], paused).rowcount


def build_row(new: NewClient, created_at: datetime) -> dict[str, Any]:
    """Return the row of the client as the insert stores it, so that it need not be read back."""
    return {
        **{name: getattr(new, name) for name in FIELDS},
        "wallet_address": new.wallet_address.address,
        "chain": new.wallet_address.chain,
        "id": new_id(),
        "status": Status.ACTIVE,
        "settings": {},
        "version": 1,
        "created_at": created_at,
        "updated_at": created_at,
    }


def _insert_unless_taken(row: Row) -> Inserted | dict[str, str]:
    """Insert the client. Otherwise return taken field → id of the client that has it.

    One statement inserts and looks for duplicates. It sees only what was committed before it began.
    After losing a race it therefore inserts nothing and finds no duplicate, and is run again.
    """
    rows: list[Any] = []
    while not rows:
        rows = run_prepared(INSERT, row)
    if rows[0].field == "id":
        return Inserted(rows[0].audit_id)
    return {taken.field: str(taken.id) for taken in rows}


def _select_duplicates() -> CompoundSelect[str, UUID]:
    """Return the query for clients with a wallet or an e-mail address: a row per taken field.

    Both are bound: `email = NULL` matches no row, but a literal None would become IS NULL.
    """
    return union_all(
        *(
            select(
                literal_column(f"'{field}'").label("field"), TABLE.c.id, null().label("audit_id")
            ).where(TABLE.c[field] == bindparam(field))
            for field in TAKEN
        )
    )


def _build_insert() -> CompoundSelect[str, UUID]:
    """Return the statement that inserts unless taken, and returns the new id or the duplicates."""
    values: dict[str, Any] = {name: bindparam(name) for name in COLUMNS}
    inserted = insert(TABLE).values(values).on_conflict_do_nothing().returning(TABLE.c.id)
    new = inserted.cte("inserted")
    is_new = select(
        literal_column("'id'").label("field"), new.c.id, trail.NEXT_ID.label("audit_id")
    )
    return union_all(is_new, *_select_duplicates().selects)


INSERT = Prepared("insert_client", _build_insert())
