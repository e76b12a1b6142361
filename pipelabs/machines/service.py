"""Invite machines, enrol, approve, suspend and retire them."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, update

from pipelabs.agent import protocol
from pipelabs.approvals import service as approvals
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidTransition, NotFound, Unauthenticated
from pipelabs.core.ip_address import UNKNOWN
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.core.pagination import Page, page_of
from pipelabs.machines import grants
from pipelabs.machines.commands import Enrolment, NewMachine
from pipelabs.machines.endings import lock_leases_of
from pipelabs.models import (
    Admin,
    Approval,
    ApprovalKind,
    Machine,
    MachineSighting,
    MachineStatus,
    now,
)

CODE_LIFETIME = timedelta(minutes=10)
NOT_FOUND = "There is no such machine."
TAKEN = "A machine with this name already exists."
KEYS_TAKEN = "A machine with these keys already exists. Enrol with new ones."
INVALID_CODE = "This enrolment code is wrong, used or expired, or is for another network."
NOT_INVITED = "Only a machine that has not enrolled yet can get a new code. This one is {status}."
TRANSITIONS = {
    MachineStatus.INVITED: {MachineStatus.RETIRED},
    MachineStatus.ENROLLED: {MachineStatus.RETIRED},
    MachineStatus.ACTIVE: {MachineStatus.SUSPENDED, MachineStatus.RETIRED},
    MachineStatus.SUSPENDED: {MachineStatus.ACTIVE, MachineStatus.RETIRED},
    MachineStatus.RETIRED: set[MachineStatus](),
}
"""Status → the statuses that an owner can set. Enrolment and approval set the others."""
EVENTS = {
    MachineStatus.ACTIVE: Event.MACHINE_RESUMED,
    MachineStatus.SUSPENDED: Event.MACHINE_SUSPENDED,
    MachineStatus.RETIRED: Event.MACHINE_RETIRED,
}


class Invited(NamedTuple):
    """A machine, and the enrolment code to enter on its host. Only its digest is stored."""

    machine: Machine
    code: str


def invite_machine(new: NewMachine, actor: Actor) -> Invited:
    """Add a machine and return its enrolment code; raise `Duplicate` if the name is taken."""
    if existing := db.session.scalar(select(Machine.id).where(Machine.name == new.name)):
        raise Duplicate(TAKEN, fields={"name": [TAKEN]}, existing={"name": str(existing)})
    machine = Machine(
        name=new.name, addresses=[str(network) for network in new.addresses], epoch=1, version=1
    )
    db.session.add(machine)
    return _issue_code(machine, actor)


def renew_code(machine_id: UUID, actor: Actor, *, version: int | None = None) -> Invited:
    """Return a new enrolment code for a machine that has not enrolled. The old one is void."""
    machine = lock_machine(machine_id, version)
    if machine.status is not MachineStatus.INVITED:
        raise InvalidTransition(NOT_INVITED.format(status=machine.status))
    _touch(machine)
    return _issue_code(machine, actor)


def enrol_machine(command: Enrolment, anonymous: Actor) -> Machine:
    """Store the public keys of a machine and request its approval.

    Raise the same `Unauthenticated` whatever is wrong with the code, and `Duplicate` for keys that
    another machine has.
    """
    query = select(Machine).where(Machine.code_digest == _digest(command.code)).with_for_update()
    machine = db.session.scalar(query)
    is_valid = machine and machine.code_expires_at and machine.code_expires_at > now()
    if not machine or not is_valid or not is_allowed_from(machine.addresses, anonymous.address):
        raise Unauthenticated(INVALID_CODE, code="code_invalid")
    thumbprint = hashlib.sha256(command.signing_key).digest()
    if db.session.scalar(select(Machine.id).where(Machine.thumbprint == thumbprint)):
        raise Duplicate(KEYS_TAKEN, fields={"signing_key": [KEYS_TAKEN]})
    machine.code_digest = machine.code_expires_at = None
    machine.signing_key, machine.sealing_key = command.signing_key, command.sealing_key
    machine.thumbprint = thumbprint
    machine.enrolled_at, machine.enrolled_from = now(), anonymous.address
    _set_status(machine, MachineStatus.ENROLLED)
    actor = anonymous.identified(name=actor_name(machine.name), machine_id=machine.id)
    trail.record(Event.MACHINE_ENROLLED, actor, facts=machine_facts(machine))
    inviter = db.session.get_one(Admin, machine.invited_by_id)
    approvals.request_approval(ApprovalKind.MACHINE, machine.id, describe(machine), inviter, actor)
    return machine


def change_status(
    machine_id: UUID,
    status: MachineStatus,
    reason: str,
    actor: Actor,
    *,
    version: int | None = None,
) -> Machine:
    """Suspend, resume or retire a machine. Its grants end when it is retired.

    Raise `Stale` if `version` is not the stored one, and `InvalidTransition` if the status can't
    follow the stored one.
    """
    approvals.lock_pending(ApprovalKind.MACHINE, machine_id)
    if status is MachineStatus.RETIRED:
        grants.end_grants_of(machine_id, reason, actor)
    lock_leases_of(machine_id)
    machine = lock_machine(machine_id, version)
    facts = {"from": machine.status.value, "to": status.value}
    if status not in TRANSITIONS[machine.status]:
        sentence = f"A machine that is {machine.status} cannot become {status}."
        raise InvalidTransition(sentence, fields={"status": [sentence]}, facts=facts)
    if machine.status is MachineStatus.ENROLLED:
        approvals.withdraw(ApprovalKind.MACHINE, machine.id, actor)
    machine.code_digest = machine.code_expires_at = None
    machine.reason = reason
    _set_status(machine, status)
    if status is MachineStatus.ACTIVE:
        _forget_previous(machine_id)
    trail.record(EVENTS[status], actor, facts=machine_facts(machine) | {"reason": reason} | facts)
    return machine


def suspend_copied(machine_id: UUID, reason: str, actor: Actor) -> None:
    """Suspend an active machine whose keys somebody else has as well."""
    lock_leases_of(machine_id)
    machine = lock_machine(machine_id)
    if machine.status is MachineStatus.ACTIVE:
        machine.reason = reason
        _set_status(machine, MachineStatus.SUSPENDED)
        facts = machine_facts(machine) | {"reason": reason}
        trail.record(Event.MACHINE_CLONE_SUSPECTED, actor, facts=facts)


def list_machines(
    status: MachineStatus | None, size: int = 50, cursor: str | None = None
) -> Page[Machine]:
    """Return a page of machines, newest first."""
    query = select(Machine).order_by(Machine.created_at.desc(), Machine.id.desc())
    return page_of(query.where(Machine.status == status) if status else query, size, cursor)


def get_machine(machine_id: UUID) -> Machine:
    """Return the machine, or raise `NotFound`."""
    if machine := db.session.get(Machine, machine_id):
        return machine
    raise NotFound(NOT_FOUND)


def get_by_name(name: str) -> Machine:
    """Return the machine with this name, or raise `NotFound`."""
    if machine := db.session.scalar(select(Machine).where(Machine.name == name)):
        return machine
    raise NotFound(NOT_FOUND)


def list_current() -> Sequence[Machine]:
    """Return the machines that are not retired, by name."""
    query = select(Machine).where(Machine.status != MachineStatus.RETIRED)
    return db.session.scalars(query.order_by(Machine.name)).all()


def find_sighting(machine_id: UUID) -> MachineSighting | None:
    """Return when and from where the machine called last."""
    return db.session.get(MachineSighting, machine_id)


def lock_machine(machine_id: UUID, version: int | None = None) -> Machine:
    """Return the machine, locked and read again. Raise `NotFound`, or `Stale`."""
    machine = db.session.get(
        # The weaker lock: rows that refer to the machine can be added meanwhile.
        Machine,
        machine_id,
        with_for_update={"key_share": True},
        populate_existing=True,
    )
    if not machine:
        raise NotFound(NOT_FOUND)
    reject_stale("The machine", machine.version, version)
    return machine


def describe(machine: Machine) -> dict[str, Any]:
    """Return what a second owner approves."""
    return {
        "machine": str(machine.id),
        "name": machine.name,
        "fingerprint": fingerprint_of(machine),
        "addresses": machine.addresses,
    }


def fingerprint_of(machine: Machine) -> str | None:
    """Return what the host shows too, or None before the enrolment."""
    if machine.signing_key is None or machine.sealing_key is None:
        return None
    return protocol.fingerprint(machine.signing_key, machine.sealing_key)


def machine_facts(machine: Machine) -> dict[str, str]:
    """Return what every event of a machine records."""
    facts = {"machine": str(machine.id), "name": machine.name}
    if fingerprint := fingerprint_of(machine):
        facts["fingerprint"] = fingerprint
    return facts


def actor_name(name: str) -> str:
    """Return the name of a machine in the audit trail."""
    return f"machine:{name}"


def is_allowed_from(networks: list[str], address: str | None) -> bool:
    """Return whether the address is in one of the networks. No networks mean any address."""
    if not networks:
        return True
    if not address or address == UNKNOWN:
        return False
    ip = ip_address(address)
    return any(ip in ip_network(network) for network in networks)


def _issue_code(machine: Machine, actor: Actor) -> Invited:
    code = protocol.CODE_PREFIX + secrets.token_urlsafe(24)
    machine.status = MachineStatus.INVITED
    machine.code_digest, machine.code_expires_at = _digest(code), now() + CODE_LIFETIME
    machine.invited_by_id, machine.invited_by = actor.admin_id, actor.name  # type: ignore[assignment]  # an owner
    db.session.flush()
    facts = machine_facts(machine) | {"addresses": ",".join(machine.addresses)}
    trail.record(Event.MACHINE_INVITED, actor, facts=facts)
    return Invited(machine, code)


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


def _set_status(machine: Machine, status: MachineStatus) -> None:
    machine.status, machine.epoch = status, machine.epoch + 1
    _touch(machine)


def _forget_previous(machine_id: UUID) -> None:
    """Let whichever process calls next be the machine: the desk has ended the other one."""
    sighting = update(MachineSighting).where(MachineSighting.machine_id == machine_id)
    db.session.execute(sighting.values(previous_stream=None, previous_address=None))


def _touch(machine: Machine) -> None:
    machine.version, machine.updated_at = machine.version + 1, now()
    db.session.flush()


def _describe_subject(approval: Approval, _: Actor) -> Mapping[str, Any]:
    return describe(lock_machine(approval.subject_id))


def _activate(approval: Approval, actor: Actor) -> None:
    machine = lock_machine(approval.subject_id)
    _set_status(machine, MachineStatus.ACTIVE)
    trail.record(Event.MACHINE_APPROVED, actor, facts=machine_facts(machine))


def _retire(approval: Approval, actor: Actor) -> None:
    grants.end_grants_of(approval.subject_id, approval.reason or "", actor)
    machine = lock_machine(approval.subject_id)
    machine.reason = approval.reason
    _set_status(machine, MachineStatus.RETIRED)
    trail.record(Event.MACHINE_RETIRED, actor, facts=machine_facts(machine))


approvals.register(ApprovalKind.MACHINE, _describe_subject, _activate, _retire)
