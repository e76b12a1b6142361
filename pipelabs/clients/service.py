"""The rules of clients."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

from sqlalchemy import CompoundSelect, Table, bindparam, literal, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db, run
from pipelabs.core.errors import Duplicate, InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.models import Client, ClientMarket, QuotingStatus, Status, now

TAKEN = {
    "wallet_address": "A client with this wallet address already exists.",
    "email": "A client with this e-mail address already exists.",
}
TABLE = cast(Table, Client.__table__)
COLUMNS = [column.key for column in TABLE.columns]
MOVES = {
    Status.ACTIVE: {Status.PAUSED, Status.SUSPENDED, Status.OFFBOARDED},
    Status.PAUSED: {Status.ACTIVE, Status.SUSPENDED, Status.OFFBOARDED},
    Status.SUSPENDED: {Status.ACTIVE, Status.OFFBOARDED},
    Status.OFFBOARDED: set[Status](),
}
"""From where a client may go where; a suspended one comes back active, an offboarded one never."""


class Created(NamedTuple):
    """A new client, and the milliseconds from the request's first byte to the insert's answer."""

    client: Client
    ms: float


def create_client(data: Mapping[str, Any], actor: Actor) -> Created:
    """Add a client and record who did it; raise `Duplicate` naming every field already taken.

    `data` is what `ClientIn` loads.
    """
    client = _new_client(data)
    if taken := _insert_unless_taken(client):
        raise Duplicate(
            "Client already exists",
            fields={field: [TAKEN[field]] for field in taken},
            existing=taken,
        )
    ms = actor.elapsed_ms()
    facts = {"name": client.name, "wallet_address": client.wallet_address, "tier": client.tier}
    if client.email:
        facts["email"] = client.email
    trail.record(Event.CLIENT_CREATED, actor, client_id=client.id, ms=ms, facts=facts)
    return Created(client, ms)


def get_client(client_id: UUID) -> Client:
    """Return the client, or raise `NotFound`."""
    if client := db.session.get(Client, client_id):
        return client
    raise NotFound("There is no such client.")


def find_holder(wallet_address: str) -> Client | None:
    """Return the client who has this wallet, in canonical form."""
    return db.session.scalar(select(Client).where(Client.wallet_address == wallet_address))


def update_client(
    client_id: UUID, data: Mapping[str, Any], actor: Actor, *, version: int | None = None
) -> Client:
    """Change the fields in `data` and record what each was and is; nothing new leaves no trace.

    `data` is what `ClientPatch` loads. Raise `Stale` if `version` is not the stored one,
    `InvalidTransition` for an offboarded client, and `Duplicate` for another client's e-mail
    address.
    """
    stored = _locked(client_id, version)
    if stored.status is Status.OFFBOARDED:
        raise InvalidTransition("An offboarded client stays as it is.")
    changed = {name: value for name, value in data.items() if getattr(stored, name) != value}
    if not changed:
        return stored
    facts = {"changed": ",".join(changed)}
    for name, value in changed.items():
        facts |= {f"from_{name}": getattr(stored, name) or "", f"to_{name}": value or ""}
    _store(stored, changed)
    trail.record(Event.CLIENT_UPDATED, actor, client_id=stored.id, facts=facts)
    return stored


def change_status(
    client_id: UUID, status: Status, actor: Actor, *, version: int | None = None
) -> Client:
    """Move the client to another status and record who did it.

    Who is offboarded is quoted nowhere any more. Raise `Stale` if `version` is not the stored one,
    and `InvalidTransition` if it may not go there.
    """
    stored = _locked(client_id, version)
    facts = {"from": stored.status.value, "to": status.value}
    if status not in MOVES[stored.status]:
        sentence = f"A client that is {stored.status} cannot become {status}."
        raise InvalidTransition(sentence, fields={"status": [sentence]}, facts=facts)
    _store(stored, {"status": status})
    if status is Status.OFFBOARDED and (paused := _pause_markets(client_id)):
        facts["paused_markets"] = str(paused)
    trail.record(Event.CLIENT_STATUS_CHANGED, actor, client_id=stored.id, facts=facts)
    return stored


def _locked(client_id: UUID, version: int | None) -> Client:
    """Return the client, read anew and locked, so of two changes at once the second sees both."""
    stored = db.session.get(Client, client_id, with_for_update=True, populate_existing=True)
    if not stored:
        raise NotFound("There is no such client.")
    reject_stale("The client", stored.version, version)
    return stored


def _store(stored: Client, changed: Mapping[str, Any]) -> None:
    """Write the changes as a new version; the unique index alone judges the e-mail address."""
    try:
        with db.session.begin_nested():
            for name, value in changed.items():
                setattr(stored, name, value)
            stored.version, stored.updated_at = stored.version + 1, now()
    except IntegrityError:
        email = changed.get("email") or ""
        holder = db.session.scalar(select(Client.id).where(Client.email == email))
        if not holder:
            raise
        raise Duplicate(
            "Client already exists",
            fields={"email": [TAKEN["email"]]},
            existing={"email": str(holder)},
        ) from None


def _pause_markets(client_id: UUID) -> int:
    """Pause every market in which the client is quoted; return how many there were."""
    quoted = (ClientMarket.client_id == client_id) & (ClientMarket.status == QuotingStatus.ACTIVE)
    paused = {
        "status": QuotingStatus.PAUSED,
        "updated_at": now(),
        "version": ClientMarket.version + 1,
    }
    done = db.session.execute(
        update(ClientMarket).where(quoted).values(paused).returning(ClientMarket.id),
        execution_options={"synchronize_session": False},
    )
    return len(done.all())


def _new_client(data: Mapping[str, Any]) -> Client:
    """Return the client as the insert will store it, so that no answer has to be read back."""
    moment = now()
    return Client(
        id=uuid4(),
        name=data["name"],
        wallet_address=data["wallet_address"].address,
        chain=data["wallet_address"].chain,
        email=data["email"],
        tier=data["tier"],
        status=Status.ACTIVE,
        notes=data["notes"],
        settings={},
        version=1,
        created_at=moment,
        updated_at=moment,
    )


def _insert_unless_taken(client: Client) -> dict[str, str]:
    """Insert the client, or return field → id of whoever has its wallet or its e-mail.

    One statement answers both questions. It sees what was committed before it began, so the loser
    of a race finds its insert refused and nobody to blame: it asks once more, and then sees.
    """
    values = {name: getattr(client, name) for name in COLUMNS}
    found: dict[str, str] = {}
    while not found:
        found = {field: str(row_id) for field, row_id in run(INSERT, values)}
    return {} if "id" in found else found


def _holders() -> CompoundSelect[str, UUID]:
    """Return the query for who holds a wallet and an e-mail, one row a field taken.

    Both are bound: `email = NULL` matches nobody, where a literal None would become IS NULL.
    """
    return union_all(
        *(
            select(literal(field).label("field"), TABLE.c.id).where(
                TABLE.c[field] == bindparam(field)
            )
            for field in TAKEN
        )
    )


def _insert() -> CompoundSelect[str, UUID]:
    """Return the statement that inserts unless taken, and answers the new id or the holders."""
    values: dict[str, Any] = {name: bindparam(name) for name in COLUMNS}
    inserted = insert(TABLE).values(values).on_conflict_do_nothing().returning(TABLE.c.id)
    new = inserted.cte("inserted")
    return union_all(select(literal("id").label("field"), new.c.id), *_holders().selects)


INSERT = _insert()
"""Built once: building costs more than sending."""
