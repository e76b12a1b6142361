"""Admins: create them, change their passwords, end their sessions."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple, Never
from uuid import UUID

from sqlalchemy import literal, select

from pipelabs.accounts import api_tokens, passwords, sign_in_throttle
from pipelabs.accounts.commands import NewAdmin, NewPassword
from pipelabs.accounts.sessions import SignedIn, end_sessions, rotate_refresh_token
from pipelabs.approvals import service as approvals
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Code, Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import Admin, ApprovalKind, Role, Session, now

TAKEN = "An admin with this e-mail address already exists."
LAST_OWNER = "This is the last owner who can sign in. Make another admin an owner first."
NEW_OWNER = "Create the admin as viewer or operator, then change the role to owner."
OWNER_RESET = (
    "An owner's password can only be reset on the command line:"
    " flask seed admin EMAIL --reset-password."
)
OWN_RESET = "You can't reset your own password. Change it in your account."
ONE_TIME_LIFETIME = timedelta(hours=72)
"""How long a one-time password can be used to sign in, once. It includes a weekend."""


class AdminWithPassword(NamedTuple):
    """An admin and its one-time password, which works once and must then be changed."""

    admin: Admin
    password: str


def list_admins(size: int, cursor: str | None = None) -> Page[Admin]:
    """Return a page of admins, by e-mail address."""
    return page_of(select(Admin).order_by(Admin.email, Admin.id), size, cursor)


def find_admins(ids: Collection[UUID]) -> Sequence[Admin]:
    """Return the admins with these ids, by e-mail address."""
    query = select(Admin).where(Admin.id.in_(ids))
    return db.session.scalars(query.order_by(Admin.email)).all()


def get_admin(admin_id: UUID) -> Admin:
    """Return the admin, or raise `NotFound`."""
    if admin := db.session.get(Admin, admin_id):
        return admin
    raise NotFound("There is no such admin.")


def ensure_admin(email: str, role: Role, password: str, actor: Actor) -> bool:
    """Create the admin unless the e-mail address has one. Return whether it was created.

    Raise `InvalidInput` for a weak password.
    """
    if db.session.scalar(select(Admin.id).where(Admin.email == email)):
        return False
    reject_weak_password(password, email)
    _add(Admin(email=email, role=role), password, actor)
    return True


def create_admin(command: NewAdmin, actor: Actor) -> AdminWithPassword:
    """Create an admin with a one-time password.

    Raise `InvalidInput` for an owner, whom another owner has to approve, and `Duplicate` if the
    e-mail is taken.
    """
    if command.role is Role.OWNER:
        _reject("role", NEW_OWNER)
    if existing := db.session.scalar(select(Admin.id).where(Admin.email == command.email)):
        raise Duplicate(TAKEN, fields={"email": [TAKEN]}, existing={"email": str(existing)})
    password = passwords.generate_one_time_password()
    admin = Admin(email=command.email, role=command.role)
    _require_new_password(admin)
    _add(admin, password, actor)
    return AdminWithPassword(admin, password)


def reset_password(
    email: str, password: str, actor: Actor, *, revokes_tokens: bool = False
) -> Admin | None:
    """Set a password and end every session. Return None if there is no such admin.

    With `revokes_tokens` its API tokens are revoked too.
    """
    query = select(Admin).where(Admin.email == email).with_for_update(key_share=True)
    admin = db.session.scalar(query)
    if not admin:
        return None
    reject_weak_password(password, email)
    _replace_password(admin, password, actor)
    admin.must_change_password, admin.one_time_password_until = False, None
    _record_reset(admin, actor, revokes_tokens=revokes_tokens)
    return admin


def issue_one_time_password(
    admin_id: UUID, actor: Actor, *, revokes_tokens: bool = False, version: int | None = None
) -> AdminWithPassword:
    """Replace the password by a one-time password and end every session.

    With `revokes_tokens` its API tokens are revoked too. Otherwise they work again once the
    password has been changed. Raise `InvalidTransition` for an owner, as whom the actor could
    approve the own requests, and `Stale` if `version` is not the stored one.
    """
    admin = lock_admin(admin_id, version)
    reject_own(admin, actor, OWN_RESET)
    if admin.role is Role.OWNER:
        raise InvalidTransition(OWNER_RESET, code="owner_account")
    password = passwords.generate_one_time_password()
    _replace_password(admin, password, actor)
    _require_new_password(admin)
    _record_reset(admin, actor, revokes_tokens=revokes_tokens)
    return AdminWithPassword(admin, password)


def change_password(command: NewPassword, actor: Actor) -> SignedIn:
    """Change the actor's own password and end its other sessions.

    Return this session with a new refresh token. Raise `InvalidInput` if the current password is
    wrong or the new one is weak. The caller must have reserved an attempt with
    `sign_in_throttle.reserve`.
    """
    admin = lock_admin(actor.admin_id)
    if not passwords.verify_password(command.current_password, admin.password_hash):
        _reject("current_password", "This is not your password.", code="wrong_password")
    sign_in_throttle.release(admin.email, actor.address)
    if command.new_password == command.current_password:
        _reject("new_password", "The new password must differ from the current one.")
    if reason := passwords.find_weakness(command.new_password, admin.email):
        _reject("new_password", reason)
    _replace_password(admin, command.new_password, actor, except_session_id=actor.session_id)
    admin.must_change_password, admin.one_time_password_until = False, None
    trail.record(Event.ADMIN_PASSWORD_CHANGED, actor, facts=admin_facts(admin))
    return SignedIn(admin, rotate_refresh_token(actor))


def end_admin_sessions(admin_id: UUID, actor: Actor, *, version: int | None = None) -> Admin:
    """End every session of the admin. Its API tokens keep working.

    Raise `Stale` if `version` is not the stored one. It stays, because nothing shown changes.
    """
    admin = lock_admin(admin_id, version)
    end_all_sessions(admin)
    trail.record(Event.ADMIN_SESSIONS_ENDED, actor, facts=admin_facts(admin))
    return admin


def reject_weak_password(password: str, email: str) -> None:
    """Raise `InvalidInput` with the reason if the password is weak."""
    if reason := passwords.find_weakness(password, email):
        _reject("password", reason)


def admin_facts(admin: Admin) -> dict[str, str]:
    """Return what every event of an admin records."""
    return {"admin": str(admin.id), "email": admin.email}


def reject_own(admin: Admin, actor: Actor, sentence: str) -> None:
    """Raise `InvalidTransition` with the sentence if the admin is the actor."""
    if admin.id == actor.admin_id:
        raise InvalidTransition(sentence, code="own_account")


def lock_admin(
    admin_id: UUID | None, version: int | None = None, *, is_weakened: bool = False
) -> Admin:
    """Lock the admin and return its current state. Raise `NotFound`, or `Stale` for its version.

    With `is_weakened` the admin may stop being an owner. Then all active owners are locked too,
    in a consistent order, so that two owners who demote each other cannot both succeed. Raise
    `InvalidTransition` for the last owner who can sign in.
    """
    is_owner = (Admin.role == Role.OWNER) & Admin.is_disabled.is_(False)
    condition = (Admin.id == admin_id) | (is_owner & literal(is_weakened))
    query = select(Admin).where(condition).order_by(Admin.id)
    # The weaker lock: rows that refer to an admin, such as a request's, don't wait for it.
    query = query.with_for_update(key_share=True)
    rows = db.session.scalars(query.execution_options(populate_existing=True)).all()
    admin = next((row for row in rows if row.id == admin_id), None)
    if not admin:
        raise NotFound("There is no such admin.")
    reject_stale("The admin", admin.version, version)
    is_owner_now = admin.role is Role.OWNER and not admin.is_disabled
    if is_weakened and is_owner_now and len(rows) == 1:
        raise InvalidTransition(LAST_OWNER, code="last_owner")
    return admin


def lock_admins(ids: Collection[UUID]) -> None:
    """Lock these admins and all active owners, in the order in which `lock_admin` locks them."""
    is_owner = (Admin.role == Role.OWNER) & Admin.is_disabled.is_(False)
    query = select(Admin.id).where(Admin.id.in_(ids) | is_owner).order_by(Admin.id)
    db.session.execute(query.with_for_update(key_share=True))


def touch(admin: Admin, actor: Actor) -> None:
    """Increment the version, and withdraw the request to make the admin an owner: it is void."""
    admin.version += 1
    db.session.flush()
    approvals.withdraw_outdated(ApprovalKind.OWNER_ROLE, admin.id, actor)


def end_all_sessions(admin: Admin, except_session_id: UUID | None = None) -> None:
    """End the admin's sessions except one, and invalidate every access token."""
    admin.token_version += 1
    condition = Session.admin_id == admin.id
    if except_session_id is not None:
        condition &= Session.id != except_session_id
    end_sessions(condition)


def _reject(field: str, sentence: str, code: Code | None = None) -> Never:
    raise InvalidInput(sentence, code=code, fields={field: [sentence]})


def _add(admin: Admin, password: str, actor: Actor) -> None:
    admin.password_hash = passwords.hash_password(password)
    db.session.add(admin)
    db.session.flush()
    facts = admin_facts(admin) | {"role": admin.role.value}
    trail.record(Event.ADMIN_CREATED, actor, facts=facts)


def _record_reset(admin: Admin, actor: Actor, *, revokes_tokens: bool) -> None:
    revoked = api_tokens.revoke_live_tokens(admin.id, actor) if revokes_tokens else 0
    facts = admin_facts(admin) | {"revoked_tokens": str(revoked)}
    trail.record(Event.ADMIN_PASSWORD_RESET, actor, facts=facts)


def _require_new_password(admin: Admin) -> None:
    admin.must_change_password = True
    admin.one_time_password_until = now() + ONE_TIME_LIFETIME


def _replace_password(
    admin: Admin, password: str, actor: Actor, *, except_session_id: UUID | None = None
) -> None:
    admin.password_hash = passwords.hash_password(password)
    touch(admin, actor)
    end_all_sessions(admin, except_session_id)
