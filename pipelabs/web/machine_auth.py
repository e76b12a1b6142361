"""Authentication of machines by signed requests."""

from typing import cast

from flask import Request
from flask.globals import request_ctx

from pipelabs.core.actor import Actor
from pipelabs.core.errors import Code, Forbidden
from pipelabs.machines import authentication
from pipelabs.machines.authentication import Caller
from pipelabs.models import MachineStatus
from pipelabs.web import json
from pipelabs.web.operation import Operation, request_state

DENIED: dict[MachineStatus, tuple[Code, str]] = {
    MachineStatus.SUSPENDED: ("machine_suspended", "This machine is suspended."),
    MachineStatus.RETIRED: ("machine_retired", "This machine is retired."),
}


def identify(anonymous: Actor) -> Actor:
    """Return the machine that signed this request; raise `Unauthenticated` or `Forbidden`."""
    incoming: Request = request_ctx.request
    query = incoming.query_string.decode("latin-1")
    signed = authentication.Request(
        method=incoming.method,
        target=f"{incoming.path}?{query}" if query else incoming.path,
        body=json.read_body(incoming),
        authorization=incoming.headers.get("Authorization", ""),
    )
    machine = authentication.authenticate(signed, anonymous)
    request_state().machine = machine
    return machine.actor


def check_status(operation: Operation) -> None:
    """Raise `Forbidden` for a suspended or retired machine, unless the operation is for it too."""
    machine = request_state().machine
    if machine and machine.status in DENIED and not operation.allows_suspended_machine:
        code, sentence = DENIED[machine.status]
        raise Forbidden(sentence, code=code, facts={"machine": str(machine.actor.machine_id)})


def current_machine() -> Caller:
    """Return the machine that calls. The request must be authenticated."""
    return cast(Caller, request_state().machine)
