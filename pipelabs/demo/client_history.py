"""When the demo clients came, what was changed of them, and how they reached their status."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from pipelabs.clients import service as clients
from pipelabs.clients.schemas import ClientChanges
from pipelabs.core.actor import Actor
from pipelabs.demo.clients import DemoClient, drop_taken
from pipelabs.demo.history import DAYS, Do, History
from pipelabs.demo.people import choose_operator
from pipelabs.models import Status, Tier

STRIDE = 57
"""Coprime to 100: the order in which the clients come."""
GROWTH = 1.4
"""Above 1, more clients come each month than in the one before."""
SETTLED_DAYS = 20
"""An active client of late has had no other status yet."""
DETOURS = {
    Status.PAUSED: (Status.PAUSED,),
    Status.SUSPENDED: (Status.PAUSED, Status.ACTIVE, Status.SUSPENDED),
    Status.OFFBOARDED: (Status.PAUSED, Status.OFFBOARDED),
}
"""Final status → how a client gets there from active."""
PAUSED_ONCE, SUSPENDED_ONCE = (Status.PAUSED, Status.ACTIVE), (Status.SUSPENDED, Status.ACTIVE)


@dataclass(slots=True)
class PlannedClients:
    """The clients of the book by number."""

    demo: dict[int, DemoClient]
    ids: dict[int, UUID] = field(default_factory=dict)
    """Filled when the clients are created."""
    ready_at: dict[int, datetime] = field(default_factory=dict)
    """When a client's status may change: later than what is planned for it so far."""


def plan_clients(history: History, demo: list[DemoClient]) -> PlannedClients:
    """Plan the creation of the clients that can be created, and what is changed of them."""
    planned = PlannedClients({client.number: client for client in drop_taken(demo)})
    for number, client in planned.demo.items():
        at = _arrival(history, number)
        planned.ready_at[number] = at
        first, changes = _split(client)
        operator = choose_operator(history, at)
        history.add(at, history.actor(operator, status=201), _create(planned, number, first))
        if changes:
            at = history.next(at, history.random.uniform(3, 30))
            actor = history.actor(choose_operator(history, at))
            history.add(at, actor, _update(planned, number, changes))
            planned.ready_at[number] = at
    return planned


def plan_statuses(history: History, planned: PlannedClients) -> None:
    """Plan the statuses that clients go through, after all else that is planned for them."""
    settled = history.ago(SETTLED_DAYS)
    for number, client in planned.demo.items():
        at = planned.ready_at[number]
        is_new = client.status is Status.ACTIVE and at > settled
        for status in () if is_new else _list_statuses(number, client.status):
            left = (history.ends_at - at).days
            at = history.next(at, history.random.uniform(0.1, 0.4) * left)
            actor = history.actor(choose_operator(history, at))
            history.add(at, actor, _change_status(planned, number, status))


def _arrival(history: History, number: int) -> datetime:
    """Return when the client comes, the first one first."""
    place = number * STRIDE % 100
    return history.workday((DAYS - 7) * (1 - place / 100) ** GROWTH)


def _split(client: DemoClient) -> tuple[DemoClient, ClientChanges | None]:
    """Return the client as it was created, and what was changed later, if anything."""
    command = client.command
    if client.number % 6 == 1 and command.tier is not Tier.BASIC:
        return replace(client, body=client.body | {"tier": Tier.BASIC.value}), ClientChanges(
            tier=command.tier
        )
    if client.number % 5 == 2 and command.email:
        email = f"hello@{command.email.partition('@')[2]}"
        return replace(client, body=client.body | {"email": email}), ClientChanges(
            email=command.email
        )
    return client, None


def _list_statuses(number: int, final: Status) -> tuple[Status, ...]:
    if final is Status.ACTIVE and number % 9 == 4:
        return PAUSED_ONCE
    if final is Status.ACTIVE and number % 13 == 6:
        return SUSPENDED_ONCE
    return DETOURS.get(final, ())


def _create(planned: PlannedClients, number: int, client: DemoClient) -> Do:
    def create(actor: Actor) -> None:
        planned.ids[number] = clients.create_client(client.command, actor).client["id"]

    return create


def _update(planned: PlannedClients, number: int, changes: ClientChanges) -> Do:
    return lambda by: clients.update_client(planned.ids[number], changes, by)


def _change_status(planned: PlannedClients, number: int, status: Status) -> Do:
    return lambda by: clients.change_status(planned.ids[number], status, by)
