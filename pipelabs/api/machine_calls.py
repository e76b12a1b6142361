"""Calls of machines, signed by `pipelabs-agent`."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from flask import url_for

from pipelabs.audit.events import Event
from pipelabs.core.errors import Duplicate, Unauthenticated
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.machines import eligibility, leases
from pipelabs.machines import service as machines
from pipelabs.machines.commands import Enrolment
from pipelabs.machines.schemas.leases import (
    Acknowledged,
    AcksIn,
    GrantedKeys,
    LeasesAnswered,
    LeasesIn,
    MachineState,
    StateQuery,
)
from pipelabs.machines.schemas.machines import Enrolled, EnrolmentIn
from pipelabs.models import ExchangeAPIKey, Lease, now
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.machine_auth import current_machine
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("machine_calls", __name__, url_prefix="/machine")
INVALID_CODE = Unauthenticated(machines.INVALID_CODE, code="code_invalid")
KEYS_TAKEN = Duplicate(machines.KEYS_TAKEN, fields={"signing_key": [machines.KEYS_TAKEN]})


@bp.operation(
    "POST",
    "/enrolments",
    permission=None,
    denied_event=Event.MACHINE_ENROL_DENIED,
    body=EnrolmentIn,
    response=Enrolled,
    status=201,
    has_etag=True,
    errors=(INVALID_CODE, KEYS_TAKEN),
)
def enrol(data: Enrolment) -> Reply:
    """Enrol the machine of a code with its public keys.

    A second owner compares the fingerprint with what the host shows, and approves the machine.
    """
    machine = machines.enrol_machine(data, current_actor())
    fingerprint = machines.fingerprint_of(machine)
    return reply(
        "Machine enrolled",
        location=url_for("api.machine_calls.state"),
        etag=str(machine.version),
        machine={
            "id": machine.id,
            "name": machine.name,
            "status": machine.status,
            "fingerprint": fingerprint,
        },
    )


@bp.operation(
    "GET",
    "/state",
    permission=None,
    is_for_machines=True,
    allows_suspended_machine=True,
    query=StateQuery,
    response=MachineState,
)
def state(query: Mapping[str, Any]) -> Reply:
    """Show whether the machine may hold keys, and which if something has changed since the epoch.

    A suspended or retired machine learns here that it has to drop its keys.
    """
    machine = current_machine()
    is_news = query.get("epoch") != machine.epoch
    held = leases.list_held(cast(UUID, machine.actor.machine_id)) if is_news else None
    return reply(
        leases=None if held is None else [_held(lease) for lease in held],
        machine={
            "id": machine.actor.machine_id,
            "name": machine.name,
            "status": machine.status,
            "fingerprint": machine.fingerprint,
        },
        epoch=machine.epoch,
        server_time=now(),
    )


@bp.operation(
    "GET",
    "/keys",
    permission=None,
    is_for_machines=True,
    query=ListQuery,
    response=GrantedKeys,
)
def keys(query: Mapping[str, Any]) -> Reply:
    """List the keys that the machine may lease, newest first. Leasing one may still be denied."""
    machine_id = cast(UUID, current_actor().machine_id)
    page = eligibility.list_granted(machine_id, query["size"], query.get("cursor"))
    return reply(data=[_granted(key) for key in page.rows], page=page)


@bp.operation(
    "POST",
    "/leases",
    permission=None,
    is_for_machines=True,
    denied_event=Event.LEASE_DENIED,
    has_secret=True,
    body=LeasesIn,
    response=LeasesAnswered,
)
def lease(data: Mapping[str, Any]) -> Reply:
    """Lease keys: those in `key_ids`, or all that the machine's grants select.

    There is an answer for each key. The credentials are sealed to the machine. Leasing a key again
    extends its lease.
    """
    epoch, answers = leases.lease_keys(current_machine(), data["key_ids"])
    return reply(epoch=epoch, data=[_answer(answer) for answer in answers])


@bp.operation(
    "POST",
    "/acks",
    permission=None,
    is_for_machines=True,
    allows_suspended_machine=True,
    denied_event=Event.LEASE_DENIED,
    body=AcksIn,
    response=Acknowledged,
)
def acknowledge(data: Mapping[str, Any]) -> Reply:
    """Acknowledge that the machine has dropped leases. Live ones are given back."""
    actor = current_actor()
    machine_id = cast(UUID, actor.machine_id)
    return reply(acknowledged=leases.acknowledge(machine_id, data["lease_ids"], actor))


def _held(held: Lease) -> dict[str, Any]:
    return {
        "id": held.id,
        "key_id": held.key_id,
        "generation": held.generation,
        "expires_at": held.expires_at,
        "is_superseded": held.superseded_at is not None,
    }


def _granted(key: ExchangeAPIKey) -> dict[str, Any]:
    return {
        "key_id": key.id,
        "client_id": key.client_id,
        "client": key.client.name,
        "exchange": key.exchange,
        "label": key.label,
        "is_testnet": key.is_testnet,
    }


def _answer(answer: leases.Answer) -> dict[str, Any]:
    """Return an answer. A machine learns nothing about a key that no grant selects."""
    situation, leased = answer.situation, answer.leased
    key = situation and situation.key
    return {
        "key_id": answer.key_id,
        "client_id": key and key.client_id,
        "client": situation and situation.client_name,
        "exchange": key and key.exchange,
        "label": key and key.label,
        "is_testnet": key and key.is_testnet,
        "is_leased": leased is not None,
        "code": answer.code,
        "message": answer.code and eligibility.DENIALS[answer.code],
        "lease": leased and _terms(leased),
    }


def _terms(leased: leases.Leased) -> dict[str, Any]:
    period, grant = leased.period, leased.grant
    return {
        "id": period.id,
        "generation": period.generation,
        "expires_at": period.expires_at,
        "ttl_s": grant.ttl_s,
        "delivery": grant.delivery,
        "when_away": grant.when_away,
        "hold_s": grant.hold_s,
        "sealed": leased.sealed,
    }
