"""The machines of the demo: their grants and leases, and a stop that was lifted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import select

from pipelabs.approvals import service as approvals
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.demo.client_history import PlannedClients
from pipelabs.demo.history import HOUR, MINUTE, History
from pipelabs.demo.key_acts import KeyLife
from pipelabs.demo.people import FOUNDER, HEAD, PARTNER
from pipelabs.machines import grants, leases, service, stops
from pipelabs.machines.authentication import Caller
from pipelabs.machines.commands import Enrolment, NewGrant, NewMachine, NewStop
from pipelabs.models import (
    Approval,
    ApprovalKind,
    ApprovalStatus,
    Delivery,
    Lease,
    Machine,
    MachineSighting,
    MachineStatus,
    Status,
    StopScope,
    WhenAway,
    now,
)
from pipelabs.vault import api_keys

NETWORK = IPv4Network("203.0.113.64/28")
TTL_S, EXAMINED_S = 86_400, 30 * 86_400
"""The longest that there are: what is held stays held for a day."""
HELD, RETURNED, REVOKED = slice(0, 3), 3, 4
"""Which of the first client's keys the first machine holds, has returned, and had to drop."""
NAMES = ("mm-tokyo-1", "mm-frankfurt-1", "backtest-1", "mm-newyork-1", "mm-saopaulo-1")
STOPPED = "The exchange reports wrong balances."


@dataclass(slots=True)
class Host:
    """A machine of the book: each method plans the next act. `ids` has its rows by name."""

    history: History
    name: str
    address: str
    ids: dict[str, UUID] = field(default_factory=dict)
    code: str = ""
    """The enrolment code, which is void once it is used."""

    def invite(self, at: datetime, owner: str) -> None:
        """Plan that an owner invites the machine."""
        new = NewMachine(name=self.name, addresses=[NETWORK])

        def invite(actor: Actor) -> None:
            machine, self.code = service.invite_machine(new, actor)
            self.ids["machine"] = machine.id

        self.history.add(at, self.history.actor(owner, status=201), invite)

    def enrol(self, at: datetime) -> None:
        """Plan that the host enrols. The private halves of its keys are dropped."""

        def enrol(actor: Actor) -> None:
            signing_key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
            sealing_key = X25519PrivateKey.generate().public_key().public_bytes_raw()
            command = Enrolment(code=self.code, signing_key=signing_key, sealing_key=sealing_key)
            service.enrol_machine(command, actor)

        self.history.add(at, self.history.actor(None, self.address), enrol)

    def join(self, at: datetime) -> None:
        """Plan that the machine is invited, enrols and is approved."""
        self.invite(at, FOUNDER)
        self.enrol(at + 3 * MINUTE)
        self.decide(at + 20 * MINUTE, PARTNER, ApprovalKind.MACHINE, "machine")

    def request_grant(self, at: datetime, clients: PlannedClients, number: int) -> None:
        """Plan that an owner requests a grant of a client's keys."""

        def request(actor: Actor) -> None:
            new = NewGrant(
                machine_id=self.ids["machine"],
                client_id=clients.ids[number],
                exchange=None,
                label="main",
                delivery=Delivery.SDK,
                ttl_s=TTL_S,
                max_holders=1,
                max_examination_age_s=EXAMINED_S,
                when_away=WhenAway.DROP,
                hold_s=0,
            )
            self.ids["grant"] = grants.request_grant(new, actor).id

        self.history.add(at, self.history.actor(FOUNDER, status=201), request)

    def decide(
        self, at: datetime, owner: str, kind: ApprovalKind, name: str, reason: str = ""
    ) -> None:
        """Plan that an owner approves what another one requested, or rejects it for a reason."""

        def decide(actor: Actor) -> None:
            is_pending = (Approval.kind == kind, Approval.status == ApprovalStatus.PENDING)
            query = select(Approval.id).where(*is_pending, Approval.subject_id == self.ids[name])
            approval_id = db.session.scalars(query).one()
            if reason:
                approvals.reject(approval_id, reason, actor)
            else:
                approvals.approve(approval_id, actor)

        self.history.add(at, self.history.actor(owner), decide)

    def lease(self, at: datetime, keys: Sequence[KeyLife]) -> None:
        """Plan that the machine leases keys, or renews its leases."""

        def lease(_: Actor) -> None:
            leases.lease_keys(self._call(), [key.rows[-1] for key in keys])

        self.history.add(at, self.history.actor(None), lease)

    def acknowledge(self, at: datetime, key: KeyLife) -> None:
        """Plan that the machine says that it has dropped a key."""

        def acknowledge(_: Actor) -> None:
            is_lease = (Lease.machine_id == self.ids["machine"], Lease.key_id == key.rows[-1])
            lease_ids = db.session.scalars(select(Lease.id).where(*is_lease)).all()
            leases.acknowledge(self.ids["machine"], lease_ids, self._call().actor)

        self.history.add(at, self.history.actor(None), acknowledge)

    def change_status(self, at: datetime, owner: str, status: MachineStatus, reason: str) -> None:
        """Plan that an owner suspends or retires the machine."""

        def change(actor: Actor) -> None:
            service.change_status(self.ids["machine"], status, reason, actor)

        self.history.add(at, self.history.actor(owner), change)

    def show(self, at: datetime) -> None:
        """Plan when the machine was seen last."""

        def show(_: Actor) -> None:
            sighting = MachineSighting(
                machine_id=self.ids["machine"],
                stream="demo",
                number=1,
                address=self.address,
                seen_at=now(),
            )
            db.session.add(sighting)

        self.history.add(at, self.history.actor(None), show)

    def _call(self) -> Caller:
        """Return the machine as the author of a request."""
        machine = db.session.get_one(Machine, self.ids["machine"])
        actor = self.history.machine(machine.name, machine.id, self.address)
        signing_key, sealing_key = machine.signing_key or b"", machine.sealing_key or b""
        own = (machine.name, machine.status, machine.epoch, signing_key, sealing_key)
        return Caller(actor, *own, jti=f"demo.{actor.request_id}")


def plan_machines(history: History, clients: PlannedClients, steady: Sequence[KeyLife]) -> None:
    """Plan a machine in every status. `steady` are verified keys that machines may lease.

    A book beside other machines has none, because their names are unique.
    """
    if db.session.scalar(select(Machine.id).limit(1)):
        return
    first, second, former, asking, invited = (
        Host(history, name, str(NETWORK[place + 1])) for place, name in enumerate(NAMES)
    )
    _plan_first(first, clients, steady)
    _plan_second(second, clients, steady)
    former.join(history.workday(140))
    former.change_status(history.workday(90), FOUNDER, MachineStatus.RETIRED, "Backtests moved.")
    at = history.workday(6)
    asking.invite(at, PARTNER)
    asking.enrol(at + 4 * MINUTE)
    invited.invite(history.workday(8), PARTNER)


def _plan_first(host: Host, clients: PlannedClients, steady: Sequence[KeyLife]) -> None:
    """Plan a machine that holds keys. It has returned one and still has to drop another."""
    history = host.history
    number = steady[0].number
    own = [key for key in steady if key.number == number]
    host.join(history.workday(150))
    _plan_grant(host, clients, number)
    _plan_stop(host, own[0])
    at = history.workday(86)
    host.request_grant(at, clients, number)
    host.decide(at + HOUR, PARTNER, ApprovalKind.GRANT, "grant", "The first grant is enough.")
    kept = [*own[HELD], own[RETURNED], own[REVOKED]]
    for key in kept:
        key.verify_at(history.workday(7))
    host.lease(history.ago(hours=5), kept)
    host.lease(history.ago(hours=2), kept)
    host.acknowledge(history.ago(hours=1), own[RETURNED])
    at, revoked = history.ago(hours=0.7), own[REVOKED]
    history.add(at, history.actor(HEAD), lambda by: api_keys.revoke_key(revoked.rows[-1], by))
    host.show(history.ago(hours=0.02))


def _plan_grant(host: Host, clients: PlannedClients, number: int) -> None:
    """Plan that the machine may lease a client's keys, after it has joined."""
    at = host.history.workday(110)
    host.request_grant(at, clients, number)
    host.decide(at + HOUR, PARTNER, ApprovalKind.GRANT, "grant")


def _plan_stop(host: Host, key: KeyLife) -> None:
    """Plan a stop of the key's exchange while the machine holds the key, and that it is lifted."""
    history = host.history
    at = history.workday(93)
    key.verify_at(at - 2 * HOUR)
    host.lease(at - HOUR, [key])

    def raise_stop(actor: Actor) -> None:
        new = NewStop(scope=StopScope.EXCHANGE, exchange=key.slug, reason=STOPPED)
        host.ids["stop"] = stops.raise_stop(new, actor).stop.id

    history.add(at, history.actor(HEAD, status=201), raise_stop)
    host.acknowledge(at + MINUTE / 30, key)
    request = history.actor(FOUNDER)
    history.add(at + 3 * HOUR, request, lambda by: stops.request_lift(host.ids["stop"], by))
    host.decide(at + 4 * HOUR, PARTNER, ApprovalKind.STOP_LIFT, "stop")


def _plan_second(host: Host, clients: PlannedClients, steady: Sequence[KeyLife]) -> None:
    """Plan a machine that was suspended while it held a key, which it has dropped."""
    history = host.history
    others = [
        key
        for key in steady
        if key.number != steady[0].number and clients.demo[key.number].status is Status.ACTIVE
    ]
    key = min(others, key=lambda key: clients.ready_at[key.number])
    host.join(history.workday(120))
    _plan_grant(host, clients, key.number)
    at = history.ago(3)
    key.verify_at(at - 2 * HOUR)
    host.lease(at - HOUR, [key])
    host.show(at)
    host.change_status(at, PARTNER, MachineStatus.SUSPENDED, "Maintenance of the host.")
    host.acknowledge(at + MINUTE / 20, key)
