"""The rules of admins: making them, their passwords, and what an owner may do to them."""

from sqlalchemy import select

from pipelabs import audit, passwords
from pipelabs.audit import Actor, Event
from pipelabs.errors import InvalidInput
from pipelabs.extensions import db
from pipelabs.models import Admin, Role, Session
from pipelabs.services.sessions import end_sessions


def ensure_admin(email: str, role: Role, password: str, actor: Actor) -> bool:
    """Create the admin unless the e-mail address is there; return whether it was created.

    Raise `InvalidInput` for a password that is too short or too common.
    """
    if db.session.scalar(select(Admin.id).where(Admin.email == email)):
        return False
    refuse_weak(password, email)
    db.session.add(Admin(email=email, role=role, password_hash=passwords.hash_password(password)))
    db.session.flush()
    audit.record(Event.ADMIN_CREATED, actor, facts={"email": email, "role": role})
    return True


def reset_password(email: str, password: str, actor: Actor) -> bool:
    """Set a new password and end every session; return False if there is no such admin."""
    admin = db.session.scalar(select(Admin).where(Admin.email == email).with_for_update())
    if not admin:
        return False
    refuse_weak(password, email)
    admin.password_hash = passwords.hash_password(password)
    admin.token_version += 1
    end_sessions(Session.admin_id == admin.id)
    audit.record(Event.ADMIN_PASSWORD_RESET, actor, facts={"email": email})
    return True


def refuse_weak(password: str, email: str) -> None:
    """Raise `InvalidInput` with the reason why this password cannot be taken."""
    if reason := passwords.weakness(password, email):
        raise InvalidInput(reason, fields={"password": [reason]})
