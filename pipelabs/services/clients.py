"""The rules of clients."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import CompoundSelect, Select, literal, select, union_all
from sqlalchemy.dialects.postgresql import insert

from pipelabs import audit
from pipelabs.audit import Actor, Event
from pipelabs.errors import Duplicate, NotFound
from pipelabs.extensions import db
from pipelabs.models import Client, Status, now

TAKEN = {
    "wallet_address": "A client with this wallet address already exists.",
    "email": "A client with this e-mail address already exists.",
}


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
    audit.record(Event.CLIENT_CREATED, actor, client_id=client.id, ms=ms, facts=facts)
    return Created(client, ms)


def get_client(client_id: UUID) -> Client:
    """Return the client, or raise `NotFound`."""
    if client := db.session.get(Client, client_id):
        return client
    raise NotFound("There is no such client.")


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
    columns = Client.__table__.columns.keys()
    values = {name: getattr(client, name) for name in columns}
    inserted = (
        insert(Client).values(values).on_conflict_do_nothing().returning(Client.id).cte("inserted")
    )
    new = select(literal("id").label("field"), inserted.c.id)
    rows = db.session.execute(union_all(new, _holders(client))).all()
    found = {field: str(holder) for field, holder in rows}
    if "id" in found:
        return {}
    return found or {
        field: str(holder) for field, holder in db.session.execute(_holders(client)).all()
    }


def _holders(client: Client) -> Select[str, UUID] | CompoundSelect[str, UUID]:
    """Return the query for who holds this wallet and this e-mail, one row a field taken."""
    wallet = select(literal("wallet_address").label("field"), Client.id).where(
        Client.wallet_address == client.wallet_address
    )
    if client.email is None:
        # email = NULL matches nobody in SQL, but SQLAlchemy would write IS NULL: everybody.
        return wallet
    email = select(literal("email").label("field"), Client.id).where(Client.email == client.email)
    return union_all(wallet, email)
