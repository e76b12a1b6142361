"""Stops: no machine may hold the keys in their scope. Operators raise, two owners lift them."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select

from pipelabs.approvals import service as approvals
from pipelabs.audit import subjects, trail
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind, Place
from pipelabs.core.actor import Actor
from pipelabs.core.db import Prepared, db, run_prepared
from pipelabs.core.errors import InvalidInput, InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.core.pagination import Page, page_of
from pipelabs.exchanges.service import find_slug
from pipelabs.machines.commands import NewStop
from pipelabs.machines.endings import end_leases, is_endable
from pipelabs.models import (
    Admin,
    Approval,
    ApprovalKind,
    Client,
    ExchangeAPIKey,
    Lease,
    LeaseEnd,
    Machine,
    Stop,
    StopScope,
    now,
)

LOCK = 0x504C_5354
"""Number of the advisory lock that leasing shares and raising a stop takes alone."""
NOT_FOUND = "There is no such stop."
LIFTED = "This stop was lifted already."
SUBJECTS = {
    StopScope.EXCHANGE: "exchange",
    StopScope.CLIENT: "client_id",
    StopScope.KEY: "key_id",
    StopScope.MACHINE: "machine_id",
}
"""Scope → the field that names its subject."""
FACTS = {"key_id": "key", "machine_id": "machine"}
"""Field → the fact of the audit trail that names the same."""
MODELS: dict[str, Any] = {"client_id": Client, "key_id": ExchangeAPIKey, "machine_id": Machine}
SHARE_LOCK = Prepared("share_lock_of_stops", select(func.pg_advisory_xact_lock_shared(LOCK)))
COLUMNS: dict[str, Any] = {
    "exchange": ExchangeAPIKey.exchange,
    "client_id": ExchangeAPIKey.client_id,
    "key_id": Lease.key_id,
    "machine_id": Lease.machine_id,
}


class Reach(NamedTuple):
    """How many leases a stop ends, and on how many machines."""

    leases: int
    machines: int


class Raised(NamedTuple):
    """A new stop, and what it has ended."""

    stop: Stop
    reach: Reach


def raise_stop(new: NewStop, actor: Actor) -> Raised:
    """End every lease in the scope, and let no machine lease its keys until the stop is lifted.

    Raise `InvalidInput` for a subject that does not exist.
    """
    field, subject = _check_new(new)
    db.session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    values = {field: subject} if field else {}
    stop = Stop(scope=new.scope, reason=new.reason, raised_by=actor.name or "", version=1, **values)
    db.session.add(stop)
    db.session.flush()
    reach = count_reach(stop)
    facts = _facts(stop) | {"leases": str(reach.leases), "machines": str(reach.machines)}
    trail.record(Event.STOP_RAISED, actor, facts=facts)
    end_leases(_in_scope(stop), LeaseEnd.STOPPED, actor)
    return Raised(stop, reach)


def preview(new: NewStop) -> Reach:
    """Return what a stop would end now. Raise as `raise_stop`."""
    field, subject = _check_new(new)
    return count_reach(Stop(scope=new.scope, **({field: subject} if field else {})))


def count_reach(stop: Stop) -> Reach:
    """Return how many leases in the scope may be held, and by how many machines."""
    query = select(func.count(), func.count(Lease.machine_id.distinct())).select_from(Lease)
    query = query.join(ExchangeAPIKey, ExchangeAPIKey.id == Lease.key_id)
    return Reach(*db.session.execute(query.where(*is_endable(), *_in_scope(stop))).one())


def request_lift(stop_id: UUID, actor: Actor, *, version: int | None = None) -> Approval:
    """Request that a stop is lifted, which another owner has to approve; raise `Stale`."""
    approvals.lock_pending(ApprovalKind.STOP_LIFT, stop_id)
    stop = _lock(stop_id)
    reject_stale("The stop", stop.version, version)
    requester = db.session.get_one(Admin, actor.admin_id)
    return approvals.request_approval(
        ApprovalKind.STOP_LIFT, stop.id, describe(stop), requester, actor
    )


def get_stop(stop_id: UUID) -> Stop:
    """Return the stop, or raise `NotFound`."""
    if stop := db.session.get(Stop, stop_id):
        return stop
    raise NotFound(NOT_FOUND)


def list_stops(is_lifted: str | None, size: int = 50, cursor: str | None = None) -> Page[Stop]:
    """Return a page of stops, newest first. `is_lifted` is yes, no or None."""
    query = select(Stop).order_by(Stop.created_at.desc(), Stop.id.desc())
    lifted = Stop.lifted_at.is_not(None)
    if is_lifted:
        query = query.where(lifted if is_lifted == "yes" else ~lifted)
    return page_of(query, size, cursor)


def find_raised(new: NewStop) -> Stop | None:
    """Return a stop of the same scope and subject that is not lifted. Raise as `raise_stop`.

    It waits for others that raise one, and they for this transaction.
    """
    field, subject = _check_new(new)
    db.session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    same = [getattr(Stop, field) == subject] if field else []
    query = select(Stop).where(Stop.scope == new.scope, Stop.lifted_at.is_(None), *same)
    return db.session.scalars(query.order_by(Stop.created_at, Stop.id)).first()


def share_lock() -> None:
    """Let no stop be raised until this transaction ends, so that none is overlooked."""
    run_prepared(SHARE_LOCK, {})


def is_stopped(machine_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return the condition for exchange API keys that a stop keeps from the machine."""
    covers = or_(
        Stop.scope == StopScope.EVERYTHING,
        Stop.exchange == ExchangeAPIKey.exchange,
        Stop.client_id == ExchangeAPIKey.client_id,
        Stop.key_id == ExchangeAPIKey.id,
        Stop.machine_id == machine_id,
    )
    return exists().where(Stop.lifted_at.is_(None), covers).correlate(ExchangeAPIKey)


def describe(stop: Stop) -> dict[str, Any]:
    """Return what is approved when a stop is lifted."""
    field = SUBJECTS.get(stop.scope)
    subject = {field: str(getattr(stop, field))} if field else {}
    return {"stop": str(stop.id), "scope": stop.scope.value, **subject, "reason": stop.reason}


def _check_new(new: NewStop) -> tuple[str | None, Any]:
    """Return the field that names the subject, and the subject."""
    field = SUBJECTS.get(new.scope)
    given = {name for name in COLUMNS if getattr(new, name) is not None}
    if field is None or given != {field}:
        if given == ({field} if field else set()):
            return None, None
        sentence = f"Only {field} must be set." if field else "Leave this empty."
        names = sorted(given ^ ({field} if field else set()))
        raise InvalidInput("Invalid input: scope", fields={name: [sentence] for name in names})
    subject = getattr(new, field)
    if field == "exchange":
        subject = find_slug(subject)
    elif not db.session.get(MODELS[field], subject):
        subject = None
    if subject is None:
        raise InvalidInput(f"Invalid input: {field}", fields={field: ["There is no such row."]})
    return field, subject


def _in_scope(stop: Stop) -> list[ColumnElement[bool]]:
    field = SUBJECTS.get(stop.scope)
    return [COLUMNS[field] == getattr(stop, field)] if field else []


def _lock(stop_id: UUID) -> Stop:
    stop = db.session.get(Stop, stop_id, with_for_update=True, populate_existing=True)
    if not stop:
        raise NotFound(NOT_FOUND)
    if stop.lifted_at:
        raise InvalidTransition(LIFTED)
    return stop


@subjects.register(Kind.STOP)
def _find_place(stop_id: UUID) -> Place | None:
    query = select(
        func.coalesce(Stop.client_id, ExchangeAPIKey.client_id),
        func.coalesce(Stop.exchange, ExchangeAPIKey.exchange),
    ).outerjoin(ExchangeAPIKey, ExchangeAPIKey.id == Stop.key_id)
    row = db.session.execute(query.where(Stop.id == stop_id)).first()
    return Place(*row) if row else None


def _facts(stop: Stop) -> dict[str, str]:
    """Return what every event of a stop records, and the client and exchange of its key."""
    facts = {FACTS.get(name, name): str(value) for name, value in describe(stop).items()}
    if stop.key_id:
        key = db.session.get_one(ExchangeAPIKey, stop.key_id)
        facts |= {"client_id": str(key.client_id), "exchange": key.exchange}
    return facts


def _describe_subject(approval: Approval, _: Actor) -> Mapping[str, Any]:
    return describe(_lock(approval.subject_id))


def _lift(approval: Approval, actor: Actor) -> None:
    stop = _lock(approval.subject_id)
    stop.lifted_at, stop.lifted_by, stop.version = now(), actor.name, stop.version + 1
    db.session.flush()
    trail.record(Event.STOP_LIFTED, actor, facts=_facts(stop))


def _keep(approval: Approval, actor: Actor) -> None:
    stop = get_stop(approval.subject_id)
    trail.record(Event.STOP_LIFT_REJECTED, actor, facts=_facts(stop))


approvals.register(ApprovalKind.STOP_LIFT, _describe_subject, _lift, _keep)
