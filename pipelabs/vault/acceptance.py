"""Accept the risk of a quarantined key, which another owner has to approve."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pipelabs.approvals import service as approvals
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition
from pipelabs.models import Admin, Approval, ApprovalKind, ExchangeAPIKey, KeyStatus, now
from pipelabs.vault.examination import verdict_of
from pipelabs.vault.probe import KeyPermission, Verdict
from pipelabs.vault.records import get_key, lock_key, record, touch
from pipelabs.vault.signing import reject_unproven

NOT_QUARANTINED = "Only a quarantined key can be accepted. This key is {status}."
CAN_WITHDRAW = "Keys with withdrawal permission can't be accepted."


def request_acceptance(
    key_id: UUID, reason: str, actor: Actor, *, version: int | None = None
) -> Approval:
    """Request that the risk of a quarantined key is accepted. It then becomes verified.

    The risk is that it may be able to withdraw, or that its record was changed by something else.
    Raise `InvalidTransition` for any other status, and for a key that is known to withdraw, `Stale`
    if `version` is not the stored one, and `Undecryptable` if the key ring can't check the record.
    """
    approvals.lock_pending(ApprovalKind.KEY_ACCEPTANCE, key_id)
    key = lock_key(key_id, actor, version)
    _reject_unacceptable(key)
    reject_unproven(key)
    record(Event.API_KEY_ACCEPTANCE_REQUESTED, key, actor, _facts(key, reason))
    requester = db.session.get_one(Admin, actor.admin_id)
    payload = describe(key, reason)
    return approvals.request_approval(
        ApprovalKind.KEY_ACCEPTANCE, key.id, payload, requester, actor
    )


def describe(key: ExchangeAPIKey, reason: str) -> dict[str, Any]:
    """Return what is approved when a key is accepted.

    Whatever is done to the key changes it: every act increments its version, and a replacement or
    a swap of the credentials changes their digest.
    """
    return {
        "key_id": str(key.id),
        "client_id": str(key.client_id),
        "exchange": key.exchange,
        "label": key.label,
        "api_key": key.masked,
        "is_testnet": key.is_testnet,
        "stage": key.stage.value,
        "status": key.status.value,
        "permissions": {name: dict(answer) for name, answer in key.permissions.items()},
        "failure": key.failure,
        "examined_at": _to_text(key.examined_at),
        "altered_at": _to_text(key.altered_at),
        "credentials": hashlib.sha256(key.ciphertext or b"").hexdigest(),
        "version": key.version,
        "reason": reason,
    }


def _reject_unacceptable(key: ExchangeAPIKey) -> None:
    if key.status is not KeyStatus.QUARANTINED:
        raise InvalidTransition(NOT_QUARANTINED.format(status=key.status))
    if verdict_of(key.permissions, KeyPermission.WITHDRAW) is Verdict.YES:
        raise InvalidTransition(CAN_WITHDRAW)


def _to_text(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def _facts(key: ExchangeAPIKey, reason: str) -> dict[str, str]:
    return {"reason": reason, "withdraw": verdict_of(key.permissions, KeyPermission.WITHDRAW)}


def _describe_subject(approval: Approval, actor: Actor) -> Mapping[str, Any]:
    return describe(lock_key(approval.subject_id, actor), approval.payload["reason"])


def _accept(approval: Approval, actor: Actor) -> None:
    key = lock_key(approval.subject_id, actor)
    _reject_unacceptable(key)
    reason = approval.payload["reason"]
    key.status, key.altered_at = KeyStatus.VERIFIED, None
    key.accepted_at, key.accepted_by, key.accepted_reason = now(), approval.requested_by, reason
    touch(key)
    facts = _facts(key, reason) | {"requested_by": approval.requested_by}
    record(Event.API_KEY_ACCEPTED, key, actor, facts)


def _reject(approval: Approval, actor: Actor) -> None:
    facts = {"requested_by": approval.requested_by, "reason": approval.reason or ""}
    record(Event.API_KEY_ACCEPTANCE_REJECTED, get_key(approval.subject_id), actor, facts)


@trail.follow(
    Event.API_KEY_ALTERED,
    Event.API_KEY_CUT_OVER,
    Event.API_KEY_DESTROYED,
    Event.API_KEY_REVOKED,
    Event.API_KEY_ROLLED_BACK,
    Event.API_KEY_UPDATED,
    Event.API_KEY_VERIFICATION_FAILED,
    Event.API_KEY_VERIFIED,
)
def _withdraw(_: Event, actor: Actor, _client: UUID | None, facts: Mapping[str, str]) -> None:
    """Withdraw the requests for the key and for the one that it has replaced, if they are void."""
    for name in ("key", "replaces", "from"):
        if name in facts:
            key_id = UUID(facts[name])
            approvals.withdraw_outdated(ApprovalKind.KEY_ACCEPTANCE, key_id, actor)


approvals.register(ApprovalKind.KEY_ACCEPTANCE, _describe_subject, _accept, _reject)
