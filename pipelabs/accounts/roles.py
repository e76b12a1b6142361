"""Change roles and status of admins. Another owner has to approve each new owner."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from pipelabs.accounts.admins import (
    admin_facts,
    end_all_sessions,
    get_admin,
    lock_admin,
    lock_admins,
    reject_own,
    touch,
)
from pipelabs.accounts.commands import AdminChanges
from pipelabs.approvals import service as approvals
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.commands import UNSET
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition
from pipelabs.models import Admin, Approval, ApprovalKind, Role

OWN_ROLE = "You can't change your own role. Ask another owner."
OWN_ACCOUNT = "You can't disable your own account. Ask another owner."
NOT_READY = "This admin still has a one-time password. They must sign in and change it first."
DISABLED = "This admin is disabled. Enable the account first."


class Changed(NamedTuple):
    """An admin, and the request for what another owner has to approve first, if anything."""

    admin: Admin
    approval: Approval | None = None


def update_admin(
    admin_id: UUID, command: AdminChanges, actor: Actor, *, version: int | None = None
) -> Changed:
    """Change the role and the status of an admin as far as they are set.

    Raise `Stale` if `version` is not the stored one, and as the functions below.
    """
    changed = Changed(get_admin(admin_id))
    if command.role is not UNSET and command.role is not Role.OWNER:
        changed = change_role(admin_id, command.role, actor, version=version)
        # The row is locked, and its version was checked.
        version = None
    if command.is_disabled is not UNSET:
        is_disabled = command.is_disabled
        changed = set_disabled(admin_id, actor, is_disabled=is_disabled, version=version)
        version = None
    if command.role is Role.OWNER and not changed.approval:
        # The last, because a request is void once anything else is changed.
        changed = change_role(admin_id, Role.OWNER, actor, version=version)
    return changed


def change_role(admin_id: UUID, role: Role, actor: Actor, *, version: int | None = None) -> Changed:
    """Change the role of the admin, with effect from its next request.

    Making it an owner is only requested. Raise `Stale` if `version` is not the stored one, and
    `InvalidTransition` for the actor itself, for the last owner, and for an admin who can't become
    an owner: it is disabled or has a one-time password.
    """
    approvals.lock_pending(ApprovalKind.OWNER_ROLE, admin_id)
    admin = lock_admin(admin_id, version, is_weakened=role is not Role.OWNER)
    reject_own(admin, actor, OWN_ROLE)
    if admin.role is role:
        return Changed(admin)
    if role is Role.OWNER:
        if admin.is_disabled:
            raise InvalidTransition(DISABLED)
        return Changed(admin, _request_owner_role(admin, actor))
    _set_role(admin, role, actor)
    touch(admin, actor)
    return Changed(admin)


def set_disabled(
    admin_id: UUID, actor: Actor, *, is_disabled: bool, version: int | None = None
) -> Changed:
    """Disable the admin, which ends its sessions and stops its API tokens, or enable it.

    Enabling an owner is only requested. Raise `Stale` if `version` is not the stored one, and
    `InvalidTransition` for the actor itself, for the last owner, and for an owner who can't be
    enabled because of a one-time password.
    """
    approvals.lock_pending(ApprovalKind.OWNER_ROLE, admin_id)
    admin = lock_admin(admin_id, version, is_weakened=is_disabled)
    reject_own(admin, actor, OWN_ACCOUNT)
    if admin.is_disabled is is_disabled:
        return Changed(admin)
    if admin.role is Role.OWNER and not is_disabled:
        return Changed(admin, _request_owner_role(admin, actor))
    _set_disabled(admin, actor, is_disabled=is_disabled)
    touch(admin, actor)
    return Changed(admin)


def lock_for_changes(admin_ids: Collection[UUID]) -> None:
    """Lock what changes of these admins lock: their pending requests, then all rows of admins."""
    for admin_id in sorted(admin_ids):
        approvals.lock_pending(ApprovalKind.OWNER_ROLE, admin_id)
    lock_admins(admin_ids)


def describe(admin: Admin) -> dict[str, Any]:
    """Return what is approved when an admin becomes an owner who can sign in.

    Whatever is done to the admin changes it: a new password or status increments the version.
    """
    return {
        "admin_id": str(admin.id),
        "email": admin.email,
        "role": admin.role.value,
        "new_role": Role.OWNER.value,
        "is_disabled": admin.is_disabled,
        "version": admin.version,
    }


def _request_owner_role(admin: Admin, actor: Actor) -> Approval:
    if admin.must_change_password:
        raise InvalidTransition(NOT_READY)
    trail.record(Event.ADMIN_OWNER_ROLE_REQUESTED, actor, facts=_facts(admin))
    requester = db.session.get_one(Admin, actor.admin_id)
    return approvals.request_approval(
        ApprovalKind.OWNER_ROLE, admin.id, describe(admin), requester, actor
    )


def _set_role(
    admin: Admin, role: Role, actor: Actor, facts: Mapping[str, str] | None = None
) -> None:
    changed = admin_facts(admin) | {"from": admin.role.value, "to": role.value}
    admin.role = role
    trail.record(Event.ADMIN_ROLE_CHANGED, actor, facts=changed | dict(facts or {}))


def _set_disabled(
    admin: Admin, actor: Actor, *, is_disabled: bool, facts: Mapping[str, str] | None = None
) -> None:
    admin.is_disabled = is_disabled
    end_all_sessions(admin)
    event = Event.ADMIN_DISABLED if is_disabled else Event.ADMIN_ENABLED
    trail.record(event, actor, facts=admin_facts(admin) | dict(facts or {}))


def _facts(admin: Admin) -> dict[str, str]:
    return admin_facts(admin) | {
        "from": "disabled" if admin.is_disabled else admin.role.value,
        "to": Role.OWNER.value,
    }


def _describe_subject(approval: Approval, _: Actor) -> Mapping[str, Any]:
    return describe(lock_admin(approval.subject_id))


def _make_owner(approval: Approval, actor: Actor) -> None:
    admin = lock_admin(approval.subject_id)
    facts = {"requested_by": approval.requested_by}
    if admin.is_disabled:
        _set_disabled(admin, actor, is_disabled=False, facts=facts)
    else:
        _set_role(admin, Role.OWNER, actor, facts)
    touch(admin, actor)


def _reject(approval: Approval, actor: Actor) -> None:
    facts = {"requested_by": approval.requested_by, "reason": approval.reason or ""}
    admin = get_admin(approval.subject_id)
    trail.record(Event.ADMIN_OWNER_ROLE_REJECTED, actor, facts=_facts(admin) | facts)


approvals.register(ApprovalKind.OWNER_ROLE, _describe_subject, _make_owner, _reject)
