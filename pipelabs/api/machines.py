"""Machines: the hosts of engines, which may hold exchange API keys."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.audit.events import Event
from pipelabs.core.errors import Duplicate, InvalidTransition, Stale
from pipelabs.machines import service as machines
from pipelabs.machines.commands import NewMachine
from pipelabs.machines.schemas.machines import (
    MachineChange,
    MachineIn,
    MachineInvited,
    MachineList,
    MachineShown,
    MachinesQuery,
)
from pipelabs.models import Machine, MachineStatus, Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.openapi.examples import ID
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("machines", __name__, url_prefix="/admin/machines")
TAKEN = Duplicate(machines.TAKEN, fields={"name": [machines.TAKEN]}, existing={"name": ID})
STALE = Stale("The machine has changed: it is at version 4, not 3.")
NO_WAY = "A machine that is retired cannot become active."
ILLEGAL = InvalidTransition(NO_WAY, fields={"status": [NO_WAY]})
CHANGE: dict[str, Any] = {
    "permission": Permission.MACHINES_WRITE,
    "denied_event": Event.MACHINE_CHANGE_DENIED,
    "body": MachineChange,
    "response": MachineShown,
    "has_etag": True,
    "errors": (ILLEGAL, STALE),
}
INVITATION: dict[str, Any] = {
    "permission": Permission.MACHINES_WRITE,
    "denied_event": Event.MACHINE_CHANGE_DENIED,
    "replayed_event": Event.MACHINE_INVITE_REPLAYED,
    "has_secret": True,
    "response": MachineInvited,
    "status": 201,
    "has_etag": True,
}


@bp.operation(
    "GET", "", permission=Permission.MACHINES_READ, query=MachinesQuery, response=MachineList
)
def index(query: Mapping[str, Any]) -> Reply:
    """List machines, newest first."""
    page = machines.list_machines(query.get("status"), query["size"], query.get("cursor"))
    return reply(data=[_shown(machine) for machine in page.rows], page=page)


@bp.operation("POST", "", body=MachineIn, errors=(TAKEN,), **INVITATION)
def invite(data: NewMachine) -> Reply:
    """Invite a machine.

    Enter `code` on its host within 10 minutes: `pipelabs-agent enroll URL CODE`. It is only shown
    here. A second owner then approves the machine.
    """
    return _reply_invited(machines.invite_machine(data, current_actor()))


@bp.operation(
    "GET",
    "/<uuid:machine_id>",
    permission=Permission.MACHINES_READ,
    response=MachineShown,
    has_etag=True,
)
def show(machine_id: UUID) -> Reply:
    """Show one machine. The ETag is its version."""
    return _reply(machines.get_machine(machine_id))


@bp.operation("POST", "/<uuid:machine_id>/code", errors=(ILLEGAL, STALE), **INVITATION)
def renew_code(machine_id: UUID) -> Reply:
    """Issue another enrolment code for a machine that has not enrolled. The old one is void."""
    version = expected_version()
    return _reply_invited(machines.renew_code(machine_id, current_actor(), version=version))


@bp.operation("POST", "/<uuid:machine_id>/suspend", **CHANGE)
def suspend(data: Mapping[str, Any], machine_id: UUID) -> Reply:
    """Suspend a machine. It has to drop its keys and gets none."""
    return _change(machine_id, MachineStatus.SUSPENDED, data["reason"])


@bp.operation("POST", "/<uuid:machine_id>/resume", **CHANGE)
def resume(data: Mapping[str, Any], machine_id: UUID) -> Reply:
    """Let a suspended machine have keys again."""
    return _change(machine_id, MachineStatus.ACTIVE, data["reason"])


@bp.operation("POST", "/<uuid:machine_id>/retire", **CHANGE)
def retire(data: Mapping[str, Any], machine_id: UUID) -> Reply:
    """Retire a machine. This can't be undone; its host can enrol again as another machine."""
    return _change(machine_id, MachineStatus.RETIRED, data["reason"])


def _change(machine_id: UUID, status: MachineStatus, reason: str) -> Reply:
    version = expected_version()
    return _reply(
        machines.change_status(machine_id, status, reason, current_actor(), version=version)
    )


def _reply(machine: Machine) -> Reply:
    return reply(machine=_shown(machine), etag=str(machine.version))


def _reply_invited(invited: machines.Invited) -> Reply:
    machine = invited.machine
    return reply(
        "Machine invited",
        location=url_for("api.machines.show", machine_id=machine.id),
        etag=str(machine.version),
        machine=_shown(machine),
        code=invited.code,
    )


def _shown(machine: Machine) -> dict[str, Any]:
    """Return the columns of a machine, and its fingerprint."""
    columns = {name: getattr(machine, name) for name in Machine.__table__.columns.keys()}  # noqa: SIM118 - columns, not keys
    return columns | {"fingerprint": machines.fingerprint_of(machine)}
