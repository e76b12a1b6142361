"""Grants: which keys a machine may lease, and how. A second owner approves each one."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, select, true

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
from pipelabs.machines.commands import NewGrant
from pipelabs.machines.endings import end_leases, raise_epoch
from pipelabs.models import (
    Admin,
    Approval,
    ApprovalKind,
    Client,
    ExchangeAPIKey,
    Grant,
    GrantStatus,
    Lease,
    LeaseEnd,
    Machine,
    MachineStatus,
    now,
)

NOT_FOUND = "There is no such grant."
NO_MACHINE = "There is no such machine."
NO_CLIENT = "There is no such client."
NO_EXCHANGE = "There is no such exchange."
RETIRED = "A retired machine gets no grants."
OVER = "This grant is {status} already."
SELECTORS = ("client_id", "exchange", "label")
TERMS = (
    "machine_id",
    *SELECTORS,
    "delivery",
    "ttl_s",
    "max_holders",
    "max_examination_age_s",
    "when_away",
    "hold_s",
)
"""What is approved."""
CURRENT = {"populate_existing": True}
"""Execution options: what another transaction has committed replaces what the session has."""
LOCK_ACTIVE = Prepared(
    "lock_active_grants",
    select(Grant.id, Grant.digest, *(getattr(Grant, name) for name in TERMS))
    .where(Grant.machine_id == bindparam("machine_id"), Grant.status == GrantStatus.ACTIVE)
    .order_by(Grant.created_at, Grant.id)
    .with_for_update(read=True),
)


def request_grant(new: NewGrant, actor: Actor) -> Grant:
    """Add a grant that a second owner has to approve.

    Raise `InvalidInput` for a machine, client or exchange that does not exist.
    """
    exchange = _check_new(new)
    values = {name: getattr(new, name) for name in TERMS} | {"exchange": exchange}
    grant = Grant(**values, status=GrantStatus.REQUESTED, requested_by=actor.name or "", version=1)
    db.session.add(grant)
    db.session.flush()
    trail.record(Event.GRANT_REQUESTED, actor, facts=_facts(grant))
    requester = db.session.get_one(Admin, actor.admin_id)
    approvals.request_approval(ApprovalKind.GRANT, grant.id, describe(grant), requester, actor)
    return grant


def end_grant(grant_id: UUID, reason: str, actor: Actor, *, version: int | None = None) -> Grant:
    """End a grant, and the leases that it has allowed; raise `Stale` and `InvalidTransition`."""
    approvals.lock_pending(ApprovalKind.GRANT, grant_id)
    grant = _lock(grant_id)
    reject_stale("The grant", grant.version, version)
    if grant.status not in {GrantStatus.REQUESTED, GrantStatus.ACTIVE}:
        raise InvalidTransition(OVER.format(status=grant.status))
    _end(grant, reason, actor)
    end_leases([Lease.grant_id == grant.id], LeaseEnd.GRANT_ENDED, actor)
    return grant


def end_grants_of(machine_id: UUID, reason: str, actor: Actor) -> None:
    """End all grants of a machine that is retired, which ends its leases."""
    is_open = (
        Grant.machine_id == machine_id,
        Grant.status.in_([GrantStatus.REQUESTED, GrantStatus.ACTIVE]),
    )
    query = select(Grant).where(*is_open).order_by(Grant.id)
    for grant in db.session.scalars(query).all():
        approvals.lock_pending(ApprovalKind.GRANT, grant.id)
    for grant in db.session.scalars(query.with_for_update(), execution_options=CURRENT).all():
        _end(grant, reason, actor)


def get_grant(grant_id: UUID) -> Grant:
    """Return the grant, or raise `NotFound`."""
    if grant := db.session.get(Grant, grant_id):
        return grant
    raise NotFound(NOT_FOUND)


def list_grants(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[Grant]:
    """Return a page of grants by `machine_id` and `status`, newest first."""
    names = ("machine_id", "status")
    conditions = [getattr(Grant, name) == filters[name] for name in names if filters.get(name)]
    query = select(Grant).where(*conditions)
    return page_of(query.order_by(Grant.created_at.desc(), Grant.id.desc()), size, cursor)


def find_same(new: NewGrant) -> Grant | None:
    """Return the machine's grant with the same terms, if one is requested or active.

    Raise as `request_grant`. Others that ask the same wait for this transaction.
    """
    values = {name: getattr(new, name) for name in TERMS} | {"exchange": _check_new(new)}
    db.session.execute(select(Machine.id).where(Machine.id == new.machine_id).with_for_update())
    same = [getattr(Grant, name).is_not_distinct_from(value) for name, value in values.items()]
    is_open = Grant.status.in_([GrantStatus.REQUESTED, GrantStatus.ACTIVE])
    return db.session.scalars(select(Grant).where(is_open, *same)).first()


def lock_active(machine_id: UUID) -> list[Any]:
    """Return the machine's grants that are as they were approved, the oldest first.

    The rows have `id` and the terms. Others wait to end them until this transaction is over.
    """
    rows = run_prepared(LOCK_ACTIVE, {"machine_id": machine_id})
    return [grant for grant in rows if approvals.digest_of(describe(grant)) == grant.digest]


def selected_by(grant: Any) -> ColumnElement[bool]:
    """Return the condition for the keys that a grant selects, in any stage."""
    selectors = [
        getattr(ExchangeAPIKey, name) == value
        for name in SELECTORS
        if (value := getattr(grant, name)) is not None
    ]
    return and_(true(), *selectors)


def selects(grant: Any, key: Any) -> bool:
    """Return whether a grant selects a key, whatever its stage."""
    return all(getattr(grant, name) in {None, getattr(key, name)} for name in SELECTORS)


def describe(grant: Any) -> dict[str, Any]:
    """Return the terms of a grant as JSON."""
    terms = {name: getattr(grant, name) for name in TERMS}
    return {
        name: value if isinstance(value, int | None) else str(value)
        for name, value in terms.items()
    }


def _check_new(new: NewGrant) -> str | None:
    """Return the slug of the exchange."""
    errors: dict[str, list[str]] = {}
    machine = db.session.get(Machine, new.machine_id)
    if not machine or machine.status is MachineStatus.RETIRED:
        errors["machine_id"] = [RETIRED if machine else NO_MACHINE]
    if new.client_id and not db.session.get(Client, new.client_id):
        errors["client_id"] = [NO_CLIENT]
    slug = new.exchange and find_slug(new.exchange)
    if new.exchange and not slug:
        errors["exchange"] = [NO_EXCHANGE]
    if errors:
        raise InvalidInput(f"Invalid input: {', '.join(errors)}", fields=errors)
    return slug


def _end(grant: Grant, reason: str, actor: Actor) -> None:
    if grant.status is GrantStatus.REQUESTED:
        approvals.withdraw(ApprovalKind.GRANT, grant.id, actor)
    _set_status(grant, GrantStatus.ENDED, reason)
    trail.record(Event.GRANT_ENDED, actor, facts=_facts(grant) | {"reason": reason})


def _lock(grant_id: UUID) -> Grant:
    grant = db.session.get(Grant, grant_id, with_for_update=True, populate_existing=True)
    if not grant:
        raise NotFound(NOT_FOUND)
    return grant


def _set_status(grant: Grant, status: GrantStatus, reason: str | None = None) -> None:
    grant.status, grant.reason = status, reason
    grant.version, grant.updated_at = grant.version + 1, now()
    db.session.flush()


@subjects.register(Kind.GRANT)
def _find_place(grant_id: UUID) -> Place | None:
    query = select(Grant.client_id, Grant.exchange).where(Grant.id == grant_id)
    row = db.session.execute(query).first()
    return Place(*row) if row else None


def _facts(grant: Grant) -> dict[str, str]:
    terms = {name: str(value) for name, value in describe(grant).items() if value is not None}
    return {"grant": str(grant.id), "machine": terms.pop("machine_id")} | terms


def _describe_subject(approval: Approval, _: Actor) -> Mapping[str, Any]:
    return describe(_lock(approval.subject_id))


def _activate(approval: Approval, actor: Actor) -> None:
    grant = _lock(approval.subject_id)
    if db.session.get_one(Machine, grant.machine_id).status is MachineStatus.RETIRED:
        raise InvalidTransition(RETIRED)
    grant.digest = approval.digest
    _set_status(grant, GrantStatus.ACTIVE)
    raise_epoch([grant.machine_id])
    trail.record(Event.GRANT_APPROVED, actor, facts=_facts(grant))


def _reject(approval: Approval, actor: Actor) -> None:
    grant = _lock(approval.subject_id)
    _set_status(grant, GrantStatus.REJECTED, approval.reason)
    trail.record(Event.GRANT_REJECTED, actor, facts=_facts(grant))


approvals.register(ApprovalKind.GRANT, _describe_subject, _activate, _reject)
