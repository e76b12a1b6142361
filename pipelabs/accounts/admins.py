"""The rules of admins: making them, their passwords, and what an owner may do to them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Never
from uuid import UUID

from sqlalchemy import literal, select

from pipelabs.accounts import passwords, sign_in_throttle
from pipelabs.accounts.sessions import SignedIn, end_sessions, rotate_refresh_token
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import Admin, Role, Session

TAKEN = "An admin with this e-mail address already exists."
LAST_OWNER = "This is the last owner who can sign in."
OWN_ROLE = "Nobody changes the own role; ask another owner."


class OneTime(NamedTuple):
    """An admin, and the password that lets it in until it has chosen its own."""

    admin: Admin
    password: str


def list_admins(size: int, cursor: str | None = None) -> Page[Admin]:
    """Return one page of the admins, by e-mail address."""
    return page_of(select(Admin).order_by(Admin.email, Admin.id), size, cursor)


def get_admin(admin_id: UUID) -> Admin:
    """Return the admin, or raise `NotFound`."""
    if admin := db.session.get(Admin, admin_id):
        return admin
    raise NotFound("There is no such admin.")


def ensure_admin(email: str, role: Role, password: str, actor: Actor) -> bool:
    """Create the admin unless the e-mail address is there; return whether it was created.

    Raise `InvalidInput` for a password that is too short or too common.
    """
    if db.session.scalar(select(Admin.id).where(Admin.email == email)):
        return False
    reject_weak_password(password, email)
    _add(Admin(email=email, role=role), password, actor)
    return True


def create_admin(email: str, role: Role, actor: Actor) -> OneTime:
    """Add an admin who must choose a password at the first sign-in; raise `Duplicate`."""
    if holder := db.session.scalar(select(Admin.id).where(Admin.email == email)):
        raise Duplicate(TAKEN, fields={"email": [TAKEN]}, existing={"email": str(holder)})
    password = passwords.generate_one_time_password()
    admin = Admin(email=email, role=role, must_change_password=True)
    _add(admin, password, actor)
    return OneTime(admin, password)


def reset_password(email: str, password: str, actor: Actor) -> bool:
    """Set a new password and end every session; return False if there is no such admin."""
    admin = db.session.scalar(select(Admin).where(Admin.email == email).with_for_update())
    if not admin:
        return False
    reject_weak_password(password, email)
    _replace_password(admin, password)
    trail.record(Event.ADMIN_PASSWORD_RESET, actor, facts={"email": email})
    return True


def issue_one_time_password(admin_id: UUID, actor: Actor) -> OneTime:
    """Replace the password by a random one that must be changed, and end every session."""
    admin = _locked(admin_id)
    _reject_own(admin, actor, "Change your own password where you know it: in your account.")
    password = passwords.generate_one_time_password()
    _replace_password(admin, password)
    admin.must_change_password = True
    trail.record(Event.ADMIN_PASSWORD_RESET, actor, facts={"email": admin.email})
    return OneTime(admin, password)


def change_password(current: str, new: str, actor: Actor) -> SignedIn:
    """Set the actor's own password and end its other sessions; return this one with new tokens.

    Raise `InvalidInput` for a wrong current one and for a weak new one. The caller has reserved
    the try, as for signing in.
    """
    admin = _locked(actor.admin_id)
    if not passwords.verify_password(current, admin.password_hash):
        _reject("current_password", "This is not your password.", code="wrong_password")
    sign_in_throttle.release(admin.email, actor.address)
    if current == new:
        _reject("new_password", "This is the password that you have.")
    if reason := passwords.find_weakness(new, admin.email):
        _reject("new_password", reason)
    _replace_password(admin, new, kept=actor.session_id)
    admin.must_change_password = False
    trail.record(Event.ADMIN_PASSWORD_CHANGED, actor, facts={"email": admin.email})
    return SignedIn(admin, rotate_refresh_token(actor))


def update_admin(admin_id: UUID, changes: Mapping[str, Any], actor: Actor) -> Admin:
    """Change what `AdminPatch` loads."""
    if "role" in changes:
        change_role(admin_id, changes["role"], actor)
    if "is_disabled" in changes:
        set_disabled(admin_id, actor, is_disabled=changes["is_disabled"])
    return get_admin(admin_id)


def change_role(admin_id: UUID, role: Role, actor: Actor) -> Admin:
    """Give the admin another role, which counts from its next request on."""
    admin = _locked(admin_id, is_weakened=role is not Role.OWNER)
    _reject_own(admin, actor, OWN_ROLE)
    if admin.role is not role:
        facts = {"email": admin.email, "from": admin.role.value, "to": role.value}
        admin.role = role
        trail.record(Event.ADMIN_ROLE_CHANGED, actor, facts=facts)
    return admin


def set_disabled(admin_id: UUID, actor: Actor, *, is_disabled: bool) -> Admin:
    """Disable the admin, which ends all its sessions and stops its tokens, or enable it."""
    admin = _locked(admin_id, is_weakened=is_disabled)
    _reject_own(admin, actor, "Nobody disables himself; ask another owner.")
    if admin.is_disabled is not is_disabled:
        admin.is_disabled = is_disabled
        _end_all(admin)
        event = Event.ADMIN_DISABLED if is_disabled else Event.ADMIN_ENABLED
        trail.record(event, actor, facts={"email": admin.email})
    return admin


def end_admin_sessions(admin_id: UUID, actor: Actor) -> Admin:
    """End every session of the admin; its API tokens go on."""
    admin = _locked(admin_id)
    _end_all(admin)
    trail.record(Event.ADMIN_SESSIONS_ENDED, actor, facts={"email": admin.email})
    return admin


def reject_weak_password(password: str, email: str) -> None:
    """Raise `InvalidInput` with the reason why this password cannot be taken."""
    if reason := passwords.find_weakness(password, email):
        _reject("password", reason)


def _reject(field: str, sentence: str, code: str | None = None) -> Never:
    raise InvalidInput(sentence, code=code, fields={field: [sentence]})


def _reject_own(admin: Admin, actor: Actor, sentence: str) -> None:
    if admin.id == actor.admin_id:
        raise InvalidTransition(sentence, code="own_account")


def _add(admin: Admin, password: str, actor: Actor) -> None:
    admin.password_hash = passwords.hash_password(password)
    db.session.add(admin)
    db.session.flush()
    facts = {"email": admin.email, "role": admin.role.value}
    trail.record(Event.ADMIN_CREATED, actor, facts=facts)


def _locked(admin_id: UUID | None, *, is_weakened: bool = False) -> Admin:
    """Return the admin as it stands now, locked; raise `NotFound`.

    Where an owner may go, every owner is locked, in one order: of two who demote each other one
    waits, and then finds itself the last. Raise `InvalidTransition` for the last one who can sign
    in.
    """
    is_owner = (Admin.role == Role.OWNER) & Admin.is_disabled.is_(False)
    wanted = (Admin.id == admin_id) | (is_owner & literal(is_weakened))
    found = select(Admin).where(wanted).order_by(Admin.id).with_for_update()
    rows = db.session.scalars(found.execution_options(populate_existing=True)).all()
    admin = next((row for row in rows if row.id == admin_id), None)
    if not admin:
        raise NotFound("There is no such admin.")
    is_owner_now = admin.role is Role.OWNER and not admin.is_disabled
    if is_weakened and is_owner_now and len(rows) == 1:
        raise InvalidTransition(LAST_OWNER, code="last_owner")
    return admin


def _replace_password(admin: Admin, password: str, kept: UUID | None = None) -> None:
    admin.password_hash = passwords.hash_password(password)
    _end_all(admin, kept)


def _end_all(admin: Admin, kept: UUID | None = None) -> None:
    """End the admin's sessions but one, and with them every access token that is about."""
    admin.token_version += 1
    mine = Session.admin_id == admin.id
    end_sessions(mine if kept is None else mine & (Session.id != kept))
