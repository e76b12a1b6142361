"""Create many clients at once: all of them, or none."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Never
from uuid import UUID

from sqlalchemy import Text, Uuid, any_, bindparam, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.schemas import NewClient
from pipelabs.clients.service import TABLE, TAKEN, Row, build_row, creation_facts
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import unnest_table
from pipelabs.core.db import run
from pipelabs.core.errors import Duplicate, InvalidInput
from pipelabs.models import now

LOCK = (
    select(func.pg_advisory_xact_lock(func.hashtext("clients.batch")))
    .cte("lock")
    .prefix_with("MATERIALIZED")
)
"""Two batches that share wallets and e-mail addresses in another order would deadlock.

The first row is inserted after it, and unique indexes also see what was committed meanwhile.
"""
OWN_COLUMNS = ("id", "name", "wallet_address", "chain", "email", "tier", "notes")
SHARED_COLUMNS = ("status", "settings", "version", "created_at", "updated_at")
NEW_CLIENTS = unnest_table("new_clients", {**dict.fromkeys(OWN_COLUMNS, Text()), "id": Uuid()})
INSERT = (
    insert(TABLE)
    .from_select(
        [*OWN_COLUMNS, *SHARED_COLUMNS],
        select(
            *NEW_CLIENTS.c, *(bindparam(name, type_=TABLE.c[name].type) for name in SHARED_COLUMNS)
        ).select_from(LOCK.join(NEW_CLIENTS, true())),
        include_defaults=False,
    )
    .on_conflict_do_nothing()
    .returning(TABLE.c.id)
)
SELECT_HOLDERS = select(TABLE.c.id, *(TABLE.c[field] for field in TAKEN)).where(
    or_(*(TABLE.c[field] == any_(bindparam(field, type_=ARRAY(Text()))) for field in TAKEN))
)
"""Built once, because building takes longer than sending."""


class Taken(NamedTuple):
    """Values that can't be used, by place in the list and field.

    `repeated` has the place of the earlier row, `existing` the id of the client that has the value.
    """

    repeated: Mapping[tuple[int, str], int]
    existing: Mapping[tuple[int, str], str]


class CreatedBatch(NamedTuple):
    """The rows of the new clients in the order of the request; `ms` as of `Created`."""

    clients: Sequence[Row]
    ms: float


def create_clients(new: Sequence[NewClient], actor: Actor) -> CreatedBatch:
    """Create all of these clients, with an event for each, or none.

    Raise `Duplicate` if the only errors are values that other clients have, and `InvalidInput` if
    the same value is in the batch twice. Both name every wrong item, such as
    `clients.3.wallet_address`.
    """
    created_at = now()
    rows = [build_row(item, created_at) for item in new]
    if not _insert(rows):
        _reject(rows)
    ms = actor.elapsed_ms()
    facts = [(row["id"], creation_facts(row)) for row in rows]
    trail.record_each(Event.CLIENT_CREATED, actor, facts, ms=ms)
    return CreatedBatch(rows, ms)


def _insert(rows: Sequence[Row]) -> bool:
    """Insert the clients in one statement. Return whether no value was taken."""
    values = {name: [row[name] for row in rows] for name in OWN_COLUMNS}
    shared = {name: rows[0][name] for name in SHARED_COLUMNS}
    return len(run(INSERT, values | shared).all()) == len(rows)


def find_taken(rows: Sequence[Row], own: Collection[UUID] = ()) -> Taken:
    """Return which values of the rows are in an earlier row, and which another client has.

    `own` are ids of clients that don't count: those that the rows became.
    """
    repeated: dict[tuple[int, str], int] = {}
    for field in TAKEN:
        places: dict[str, int] = {}
        for place, row in enumerate(rows):
            value = row[field]
            if value is not None and (earlier := places.setdefault(value, place)) != place:
                repeated[place, field] = earlier
    values = {field: [row[field] for row in rows] for field in TAKEN}
    holders: dict[tuple[str, str | None], str] = {}
    for holder in run(SELECT_HOLDERS, values):
        if holder.id not in own:
            holders |= {(field, getattr(holder, field)): str(holder.id) for field in TAKEN}
    existing = {
        (place, field): holders[field, row[field]]
        for place, row in enumerate(rows)
        for field in TAKEN
        # Clients without an e-mail address have none in common.
        if row[field] is not None and (field, row[field]) in holders
    }
    return Taken(repeated, existing)


def _reject(rows: Sequence[Row]) -> Never:
    """Raise the error that names every repeated and every taken value."""
    # What the statement has inserted is rolled back.
    taken = find_taken(rows, {row["id"] for row in rows})
    repeated = {
        f"clients.{place}.{field}": [f"The same as clients.{earlier}.{field}."]
        for (place, field), earlier in taken.repeated.items()
    }
    existing = {f"clients.{at}.{field}": held for (at, field), held in taken.existing.items()}
    errors = {name: [TAKEN[name.rpartition(".")[2]]] for name in existing}
    if repeated:
        errors = repeated | errors
        raise InvalidInput(f"Invalid input: {', '.join(list(errors)[:10])}", fields=errors)
    raise Duplicate("Client already exists", fields=errors, existing=existing)
