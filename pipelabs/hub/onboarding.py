"""What has to be done until the desk can trade for a client, derived from what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.service import NOT_FOUND, OFFBOARDED
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition, NotFound
from pipelabs.hub.client import ClientHub, ExchangeRow
from pipelabs.models import Client, OnboardingEnd, Status, new_id, now

HAS_ENDED = "The onboarding of this client has ended already."
HAS_NOT_ENDED = "The onboarding of this client has not been ended."


class Step(StrEnum):
    """A step of onboarding, in order."""

    CLIENT = "client"
    EXCHANGES = "exchanges"
    PAIRS = "pairs"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What is done and what is open."""

    done: frozenset[Step]
    without_key: Sequence[ExchangeRow]
    """The exchanges where the client has markets and no key that may be used."""
    end: OnboardingEnd | None
    """Who has ended it although a step was open, and why."""

    @property
    def open(self) -> Sequence[Step]:
        """Return the open steps, in order."""
        return [step for step in Step if step not in self.done]

    @property
    def is_active(self) -> bool:
        """Return whether a step is open that is needed."""
        return bool(self.open) and not self.end


def check_onboarding(hub: ClientHub) -> Onboarding:
    """Return what is done for a client: markets, and a key that may be used wherever it has some.

    Nothing is open for a client that is offboarded.
    """
    if hub.client.status is Status.OFFBOARDED:
        return Onboarding(frozenset(Step), (), hub.onboarding_end)
    without_key = [row for row in hub.quoted if not row.has_usable_key]
    done = {Step.CLIENT}
    if hub.rows:
        done.add(Step.EXCHANGES)
    if hub.quoted:
        done.add(Step.PAIRS)
        if not without_key:
            done.add(Step.KEYS)
    return Onboarding(frozenset(done), without_key, hub.onboarding_end)


def end_onboarding(client_id: UUID, reason: str, actor: Actor) -> None:
    """Record that what a client's onboarding lacks is not needed, and why.

    Raise `InvalidTransition` for an offboarded client, and if it has ended already.
    """
    _lock_open_client(client_id)
    row = {"client_id": client_id, "reason": reason, "ended_by": actor.name}
    statement = insert(OnboardingEnd).values(row | {"id": new_id(), "created_at": now()})
    added = statement.on_conflict_do_nothing(index_elements=["client_id"])
    if not db.session.execute(added.returning(OnboardingEnd.id)).first():
        raise InvalidTransition(HAS_ENDED)
    facts = {"reason": reason}
    trail.record(Event.CLIENT_ONBOARDING_ENDED, actor, client_id=client_id, facts=facts)


def resume_onboarding(client_id: UUID, actor: Actor) -> None:
    """Reopen onboarding. Raise `InvalidTransition` for an offboarded client, and if it is open."""
    _lock_open_client(client_id)
    removed = delete(OnboardingEnd).where(OnboardingEnd.client_id == client_id)
    if not db.session.execute(removed.returning(OnboardingEnd.id)).first():
        raise InvalidTransition(HAS_NOT_ENDED)
    trail.record(Event.CLIENT_ONBOARDING_RESUMED, actor, client_id=client_id, facts={})


def _lock_open_client(client_id: UUID) -> None:
    """Lock the client against an offboarding. Raise `NotFound` or `InvalidTransition`."""
    query = select(Client.status).where(Client.id == client_id).with_for_update(read=True)
    status = db.session.scalar(query)
    if status is None:
        raise NotFound(NOT_FOUND)
    if status is Status.OFFBOARDED:
        raise InvalidTransition(OFFBOARDED)
