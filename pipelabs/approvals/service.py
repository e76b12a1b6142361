"""Request a change, approve or reject it.

A domain that needs approvals registers by kind what happens when one is approved or rejected.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select

from pipelabs.audit import subjects, trail
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind, Place
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Forbidden, InvalidTransition, NotFound, PipeLabsError
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.core.pagination import Page, page_of
from pipelabs.core.settings import setting
from pipelabs.models import (
    Admin,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    ExchangeAPIKey,
    Grant,
    Role,
    Stop,
    now,
)

ABOUT = {
    ApprovalKind.MACHINE: Kind.MACHINE,
    ApprovalKind.GRANT: Kind.GRANT,
    ApprovalKind.STOP_LIFT: Kind.STOP,
    ApprovalKind.KEY_ACCEPTANCE: Kind.API_KEY,
    ApprovalKind.OWNER_ROLE: Kind.ADMIN,
}
"""Kind of a request → kind of its subject in the audit trail."""
LIFETIME = timedelta(hours=72)
"""How long a request can be approved. It includes a weekend."""
NOT_FOUND = "There is no such request."
DECIDED = "This request was {status} already."
EXPIRED = "This request has expired. Request the change again."
OWN_REQUEST = "You can't approve your own request. Ask another owner."
NOT_OWNER = (
    "{email}, who requested this, is not an owner any more or is disabled. Reject it and request"
    " the change yourself."
)
CHANGED = "What was requested has changed since. Request the change again."

Payload = Mapping[str, Any]
Act = Callable[[Approval, Actor], None]
Describe = Callable[[Approval, Actor], Payload]
_subjects: dict[ApprovalKind, Describe] = {}
_approved: dict[ApprovalKind, Act] = {}
_rejected: dict[ApprovalKind, Act] = {}


def register(kind: ApprovalKind, describe: Describe, approved: Act, rejected: Act) -> None:
    """Register a kind: what describes a request's subject as it is now, and what a decision does.

    `describe` locks the subject. All are called in the transaction of the decision.
    """
    _subjects[kind], _approved[kind], _rejected[kind] = describe, approved, rejected


def digest_of(payload: Payload) -> bytes:
    """Return the SHA-256 of a payload, which is JSON with sorted keys."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()


def request_approval(
    kind: ApprovalKind, subject_id: UUID, payload: Payload, requester: Admin, actor: Actor
) -> Approval:
    """Add a request, which replaces a pending one for the same subject."""
    withdraw(kind, subject_id, actor)
    approval = Approval(
        kind=kind,
        subject_id=subject_id,
        payload=dict(payload),
        digest=digest_of(payload),
        requested_by_id=requester.id,
        requested_by=requester.email,
        expires_at=now() + LIFETIME,
        version=1,
    )
    db.session.add(approval)
    db.session.flush()
    _record(Event.APPROVAL_REQUESTED, approval, actor)
    return approval


def withdraw(kind: ApprovalKind, subject_id: UUID, actor: Actor) -> None:
    """Withdraw the pending request for a subject, if there is one."""
    if pending := lock_pending(kind, subject_id):
        _decide(pending, ApprovalStatus.WITHDRAWN, actor)
        _record(Event.APPROVAL_WITHDRAWN, pending, actor)


def withdraw_outdated(kind: ApprovalKind, subject_id: UUID, actor: Actor) -> None:
    """Withdraw the pending request for a subject that was locked before it, and has changed.

    A request that is being decided is skipped, because its decision waits for the subject. It will
    find that the subject has changed.
    """
    if pending := db.session.scalar(_select_pending(kind, subject_id, skip_locked=True)):
        _decide(pending, ApprovalStatus.WITHDRAWN, actor)
        _record(Event.APPROVAL_WITHDRAWN, pending, actor)


def lock_pending(kind: ApprovalKind, subject_id: UUID) -> Approval | None:
    """Lock and return the pending request for a subject, before the subject, as a decision does."""
    return db.session.scalar(_select_pending(kind, subject_id))


def approve(approval_id: UUID, actor: Actor, *, version: int | None = None) -> Approval:
    """Approve a request and carry it out.

    Raise what `find_objection` returns, and `InvalidTransition` for a request that was decided, has
    expired, or is for something else than the subject is now. Raise `Stale` if `version` is not the
    stored one.
    """
    approval = _lock_pending(approval_id, version)
    # So that the requester can't be demoted or disabled before the decision is stored.
    share = {"read": True}
    db.session.get(Admin, approval.requested_by_id, with_for_update=share, populate_existing=True)
    if objection := find_objection(approval, actor):
        raise objection
    current = digest_of(_subjects[approval.kind](approval, actor))
    if not digest_of(approval.payload) == approval.digest == current:
        raise InvalidTransition(CHANGED, facts=_facts(approval))
    approval.is_waived = approval.requested_by_id == actor.admin_id
    _decide(approval, ApprovalStatus.APPROVED, actor)
    _record(Event.APPROVAL_APPROVED, approval, actor)
    _approved[approval.kind](approval, actor)
    return approval


def reject(approval_id: UUID, reason: str, actor: Actor, *, version: int | None = None) -> Approval:
    """Reject a request. The requester may do that too. Raise `InvalidTransition` as `approve`."""
    approval = _lock_pending(approval_id, version)
    approval.reason = reason
    _decide(approval, ApprovalStatus.REJECTED, actor)
    _record(Event.APPROVAL_REJECTED, approval, actor, {"reason": reason})
    _rejected[approval.kind](approval, actor)
    return approval


def find_objection(approval: Approval, actor: Actor) -> PipeLabsError | None:
    """Return why this owner can't approve a pending request, or None.

    It is the own one, and the desk has another owner or may not waive it. Or its requester is not
    an owner who can sign in any more: then it would be one owner's word.
    """
    if approval.requested_by_id == actor.admin_id:
        if may_waive():
            return None
        return Forbidden(OWN_REQUEST, code="own_request", facts=_facts(approval))
    requester = db.session.get_one(Admin, approval.requested_by_id)
    if requester.role is Role.OWNER and not requester.is_disabled:
        return None
    sentence = NOT_OWNER.format(email=approval.requested_by)
    return InvalidTransition(sentence, code="requester_not_owner", facts=_facts(approval))


def may_waive() -> bool:
    """Return whether the desk's only owner may approve the own request, which a setting allows."""
    if not setting("SINGLE_OWNER_APPROVALS"):
        return False
    is_owner = (Admin.role == Role.OWNER, Admin.is_disabled.is_(False))
    return (db.session.scalar(select(func.count()).where(*is_owner)) or 0) == 1


def get_approval(approval_id: UUID) -> Approval:
    """Return the request, or raise `NotFound`."""
    if approval := db.session.get(Approval, approval_id):
        return approval
    raise NotFound(NOT_FOUND)


def list_approvals(
    status: ApprovalStatus | None, size: int = 50, cursor: str | None = None
) -> Page[Approval]:
    """Return a page of requests, newest first."""
    query = select(Approval).order_by(Approval.created_at.desc(), Approval.id.desc())
    return page_of(query.where(Approval.status == status) if status else query, size, cursor)


def list_decided(size: int = 50, cursor: str | None = None) -> Page[Approval]:
    """Return a page of the requests that are not pending, newest first."""
    query = select(Approval).where(Approval.status != ApprovalStatus.PENDING)
    return page_of(query.order_by(Approval.created_at.desc(), Approval.id.desc()), size, cursor)


def find_pending(kind: ApprovalKind, subject_ids: Collection[UUID]) -> dict[UUID, Approval]:
    """Return subject → its request that can be approved, without subjects that have none."""
    query = select(Approval).where(
        Approval.kind == kind,
        Approval.subject_id.in_(subject_ids),
        Approval.status == ApprovalStatus.PENDING,
        Approval.expires_at > now(),
    )
    return {approval.subject_id: approval for approval in db.session.scalars(query)}


def find_approved(kind: ApprovalKind, subject_id: UUID) -> Approval | None:
    """Return the latest request for a subject that was approved."""
    query = select(Approval).where(
        Approval.kind == kind,
        Approval.subject_id == subject_id,
        Approval.status == ApprovalStatus.APPROVED,
    )
    return db.session.scalars(query.order_by(Approval.decided_at.desc()).limit(1)).first()


def count_pending() -> int:
    """Return how many requests can be approved."""
    is_open = (Approval.status == ApprovalStatus.PENDING, Approval.expires_at > now())
    return db.session.scalar(select(func.count()).where(*is_open)) or 0


def _select_pending(
    kind: ApprovalKind, subject_id: UUID, *, skip_locked: bool = False
) -> Select[Approval]:
    query = select(Approval).where(
        Approval.kind == kind,
        Approval.subject_id == subject_id,
        Approval.status == ApprovalStatus.PENDING,
    )
    return query.with_for_update(skip_locked=skip_locked)


def _lock_pending(approval_id: UUID, version: int | None) -> Approval:
    approval = db.session.get(Approval, approval_id, with_for_update=True, populate_existing=True)
    if not approval:
        raise NotFound(NOT_FOUND)
    reject_stale("The request", approval.version, version)
    if approval.status is not ApprovalStatus.PENDING:
        raise InvalidTransition(DECIDED.format(status=approval.status))
    if approval.expires_at <= now():
        raise InvalidTransition(EXPIRED)
    return approval


def _decide(approval: Approval, status: ApprovalStatus, actor: Actor) -> None:
    approval.status, approval.decided_at = status, now()
    approval.decided_by_id, approval.decided_by = actor.admin_id, actor.name
    approval.version += 1
    db.session.flush()


@subjects.register(Kind.APPROVAL)
def _find_place(approval_id: UUID) -> Place | None:
    query = (
        select(
            func.coalesce(Grant.client_id, Stop.client_id, ExchangeAPIKey.client_id),
            func.coalesce(Grant.exchange, Stop.exchange, ExchangeAPIKey.exchange),
        )
        .select_from(Approval)
        .outerjoin(Grant, Grant.id == Approval.subject_id)
        .outerjoin(Stop, Stop.id == Approval.subject_id)
        .outerjoin(ExchangeAPIKey, ExchangeAPIKey.id == Approval.subject_id)
    )
    row = db.session.execute(query.where(Approval.id == approval_id)).first()
    return Place(*row) if row else None


def _record(
    event: Event, approval: Approval, actor: Actor, facts: Mapping[str, str] | None = None
) -> None:
    trail.record(event, actor, facts=_facts(approval) | dict(facts or {}))


def _facts(approval: Approval) -> dict[str, str]:
    facts = {
        "approval": str(approval.id),
        "kind": approval.kind.value,
        "about": f"{ABOUT[approval.kind]}:{approval.subject_id}",
        "digest": approval.digest.hex(),
        "requested_by": approval.requested_by,
    }
    return facts | {"second_owner": "waived"} if approval.is_waived else facts
