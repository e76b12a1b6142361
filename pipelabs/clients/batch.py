"""Create many clients at once: all of them, or none."""

from collections.abc import Sequence
from typing import NamedTuple, Never

from sqlalchemy import Text, Uuid, any_, bindparam, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.schemas import NewClient
from pipelabs.clients.service import TABLE, TAKEN, build_client, creation_facts
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import run
from pipelabs.core.errors import Duplicate, InvalidInput
from pipelabs.models import Client

Fields = dict[str, list[str]]
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('clients.batch'))")
"""Two batches that share wallets and e-mail addresses in another order would deadlock."""
OWN_COLUMNS = ("id", "name", "wallet_address", "chain", "email", "tier", "notes")
SHARED_COLUMNS = ("status", "settings", "version", "created_at", "updated_at")
NEW_CLIENTS = unnest_table("new_clients", {**dict.fromkeys(OWN_COLUMNS, Text()), "id": Uuid()})
INSERT = (
    insert(TABLE)
    .from_select(
        [*OWN_COLUMNS, *SHARED_COLUMNS],
        select(
            *NEW_CLIENTS.c, *(bindparam(name, type_=TABLE.c[name].type) for name in SHARED_COLUMNS)
        ),
        include_defaults=False,
    )
    .on_conflict_do_nothing()
    .returning(TABLE.c.id)
)
SELECT_HOLDERS = select(TABLE.c.id, *(TABLE.c[field] for field in TAKEN)).where(
    or_(*(TABLE.c[field] == any_(bindparam(field, type_=ARRAY(Text()))) for field in TAKEN))
)
"""Built once, because building takes longer than sending."""


class CreatedBatch(NamedTuple):
    """The new clients in the order of the request; `ms` as of `Created`."""

    clients: Sequence[Client]
    ms: float


def create_clients(new: Sequence[NewClient], actor: Actor) -> CreatedBatch:
    """Create all of these clients, with an event for each, or none.

    Raise `Duplicate` if the only errors are values that other clients have, and `InvalidInput` if
    the same value is in the batch twice. Both name every wrong item, such as
    `clients.3.wallet_address`.
    """
    run(LOCK, {})
    clients = [build_client(item) for item in new]
    repeated = _find_repeated(clients)
    if repeated or not _insert(clients):
        _reject(clients, repeated)
    ms = actor.elapsed_ms()
    facts = [(client.id, creation_facts(client)) for client in clients]
    trail.record_each(Event.CLIENT_CREATED, actor, facts, ms=ms)
    return CreatedBatch(clients, ms)


def _insert(clients: Sequence[Client]) -> bool:
    """Insert the clients in one statement. Return whether no value was taken."""
    first = clients[0]
    rows = ([getattr(client, name) for name in OWN_COLUMNS] for client in clients)
    values = column_arrays(OWN_COLUMNS, rows)
    shared = {name: getattr(first, name) for name in SHARED_COLUMNS}
    return len(run(INSERT, values | shared).all()) == len(clients)


def _find_repeated(clients: Sequence[Client]) -> Fields:
    """Return the fields whose value an earlier client of the batch has, each with a sentence."""
    errors: Fields = {}
    for field in TAKEN:
        places: dict[str, int] = {}
        for place, client in enumerate(clients):
            value = getattr(client, field)
            if value is not None and (earlier := places.setdefault(value, place)) != place:
                errors[f"clients.{place}.{field}"] = [f"The same as clients.{earlier}.{field}."]
    return errors


def _reject(clients: Sequence[Client], repeated: Fields) -> Never:
    """Raise the error that names every repeated and every taken value."""
    own = {client.id for client in clients}
    values = {field: [getattr(client, field) for client in clients] for field in TAKEN}
    holders: dict[tuple[str, str | None], str] = {}
    for row in run(SELECT_HOLDERS, values):
        # What the statement has inserted is rolled back.
        if row.id not in own:
            holders |= {(field, getattr(row, field)): str(row.id) for field in TAKEN}
    # Clients without an e-mail address have none in common.
    holders.pop(("email", None), None)
    existing = {
        f"clients.{place}.{field}": holders[field, getattr(client, field)]
        for place, client in enumerate(clients)
        for field in TAKEN
        if (field, getattr(client, field)) in holders
    }
    taken = {name: [TAKEN[name.rpartition(".")[2]]] for name in existing}
    if repeated:
        errors = repeated | taken
        raise InvalidInput(f"Invalid input: {', '.join(list(errors)[:10])}", fields=errors)
    raise Duplicate("Client already exists", fields=taken, existing=existing)
