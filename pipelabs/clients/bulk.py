"""Change many clients at once: see what will change, then apply it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast
from uuid import UUID

from sqlalchemy import select

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients import service
from pipelabs.clients.schemas import ClientChanges
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition, NotFound, Stale
from pipelabs.models import Client, Status, Tier


@dataclass(frozen=True, slots=True)
class BulkChange:
    """One change for many clients: another tier, or another status."""

    tier: Tier | None = None
    status: Status | None = None

    @property
    def text(self) -> str:
        """Return what the change sets, as forms and events name it: `tier:Premium`."""
        return f"tier:{self.tier.value}" if self.tier else f"status:{self.status}"


class Planned(NamedTuple):
    """What a change means for a client: its value before, and why it can't change if so."""

    client: Client
    before: str
    problem: str | None


class Applied(NamedTuple):
    """How many clients were changed, and why the others were not: name → sentence."""

    changed: int
    skipped: Mapping[str, str]


CHANGES = {
    change.text: change
    for change in (*(BulkChange(tier=t) for t in Tier), *(BulkChange(status=s) for s in Status))
}
"""What can be set for many clients, by name."""


def plan(change: BulkChange, client_ids: Sequence[UUID]) -> list[Planned]:
    """Return what would change, by name. Clients that do not exist are left out."""
    query = select(Client).where(Client.id.in_(client_ids)).order_by(Client.name, Client.id)
    return [_plan(change, client) for client in db.session.scalars(query)]


def apply_change(change: BulkChange, versions: Mapping[UUID, int], actor: Actor) -> Applied:
    """Change the clients, and leave those as they are that can't change or have another version.

    Each client has its own event, as if it had been changed alone, and there is one for all. The
    clients are locked in the order of ids.
    """
    changed, skipped = 0, {}
    for client_id, version in sorted(versions.items()):
        try:
            planned = _plan(change, service.get_client(client_id))
            if planned.problem:
                skipped[planned.client.name] = planned.problem
                continue
            _apply(change, client_id, version, actor)
        except (InvalidTransition, NotFound, Stale) as error:
            client = db.session.get(Client, client_id)
            skipped[client.name if client else str(client_id)] = error.message
        else:
            changed += 1
    facts = {"change": change.text, "changed": str(changed), "skipped": str(len(skipped))}
    trail.record(Event.CLIENT_BULK_CHANGED, actor, facts=facts)
    return Applied(changed, skipped)


def _plan(change: BulkChange, client: Client) -> Planned:
    before: str = client.tier if change.tier else client.status
    if before in {change.tier, change.status}:
        return Planned(client, before, f"Already {before}.")
    if client.status is Status.OFFBOARDED:
        return Planned(client, before, service.OFFBOARDED)
    if change.status and change.status not in service.TRANSITIONS[client.status]:
        sentence = f"A client that is {client.status} can't become {change.status}."
        return Planned(client, before, sentence)
    return Planned(client, before, None)


def _apply(change: BulkChange, client_id: UUID, version: int, actor: Actor) -> None:
    if change.tier:
        service.update_client(client_id, ClientChanges(tier=change.tier), actor, version=version)
    else:
        status = cast(Status, change.status)
        service.change_status(client_id, status, actor, version=version)
