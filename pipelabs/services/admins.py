"""The rules of admins: making them, signing them in and out."""

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, bindparam, select, update

from pipelabs import audit, audit_folds, passwords
from pipelabs.audit import Actor, Event
from pipelabs.errors import InvalidInput, SessionReplayed, Unauthenticated
from pipelabs.extensions import db, run
from pipelabs.models import Admin, AuditFold, Role, Session, now
from pipelabs.services import throttles

SESSION_LIFE = timedelta(hours=12)
"""NIST SP 800-63B-4: reauthentication at least every 12 hours at AAL2."""
IDLE = timedelta(minutes=30)
"""NIST SP 800-63B-4: and after 30 minutes of inactivity; here, without a renewal."""
TOUCH_EVERY = timedelta(minutes=1)
SIGNED_IN = (
    select(Admin.email, Admin.role, AuditFold.folded)
    .join(Session, Session.admin_id == Admin.id)
    .outerjoin(AuditFold, AuditFold.caller == bindparam("caller"))
    .where(
        Session.id == bindparam("session_id"),
        Session.revoked_at.is_(None),
        Session.expires_at > bindparam("moment"),
        Admin.id == bindparam("admin_id"),
        Admin.token_version == bindparam("token_version"),
        Admin.is_disabled.is_(False),
    )
)
"""Asked at every request, so built once."""


class SignedIn(NamedTuple):
    """A new session and whose it is."""

    admin: Admin
    session: Session


class Claims(NamedTuple):
    """What an access token says; nothing of it counts until the primary has confirmed it."""

    admin_id: UUID
    session_id: UUID
    token_version: int


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


def sign_in(email: str, password: str, actor: Actor) -> SignedIn:
    """Open a session; raise the same `Unauthenticated` whatever was wrong, after the same time."""
    admin = db.session.scalar(select(Admin).where(Admin.email == email))
    is_right = passwords.is_right(password, admin.password_hash if admin else None)
    if not admin or not is_right or admin.is_disabled:
        raise Unauthenticated(
            "E-mail address or password is wrong.",
            code="wrong_credentials",
            facts={"claimed_email": email},
        )
    session = Session(
        id=uuid4(),
        admin_id=admin.id,
        address=actor.address or "",
        refresh_jti=uuid4(),
        expires_at=now() + SESSION_LIFE,
    )
    db.session.add(session)
    db.session.flush()
    throttles.release(email, actor.address)
    audit_folds.purge()
    # Nobody has asked yet whether refusals of this admin were folded; the row looks.
    who = replace(actor, name=admin.email, admin_id=admin.id, has_folded=True)
    audit.record(Event.ADMIN_SIGNED_IN, who, facts={"session": str(session.id)})
    return SignedIn(admin, session)


def renew(claims: Claims, refresh_jti: UUID, stranger: Actor) -> SignedIn:
    """Give the session a new refresh token; the one that was shown counts no more.

    Raise `SessionReplayed` if it had been shown before, `Unauthenticated` if the session is over.
    """
    actor = confirm(claims, stranger)
    session = db.session.get_one(Session, claims.session_id, with_for_update=True)
    if session.refresh_jti != refresh_jti:
        raise SessionReplayed(
            "This refresh token was used before; sign in again.", session_id=session.id
        )
    if session.renewed_at < now() - IDLE:
        raise Unauthenticated("This session was idle too long; sign in again.", code="session_idle")
    session.refresh_jti, session.renewed_at = uuid4(), now()
    audit.record(Event.ADMIN_SESSION_RENEWED, actor, facts={"session": str(session.id)})
    return SignedIn(db.session.get_one(Admin, session.admin_id), session)


def visit(claims: Claims, stranger: Actor) -> Actor:
    """Return the admin whose browser this is, and keep its session from falling idle.

    Written at most once a minute; raise `Unauthenticated` as `confirm` does, and after `IDLE`.
    """
    actor = confirm(claims, stranger)
    renewed_at = db.session.scalar(
        select(Session.renewed_at).where(Session.id == claims.session_id)
    )
    idle = now() - (renewed_at or now())
    if idle > IDLE:
        raise Unauthenticated("This session was idle too long; sign in again.", code="session_idle")
    if idle > TOUCH_EVERY:
        db.session.execute(
            update(Session).where(Session.id == claims.session_id).values(renewed_at=now())
        )
    return actor


def sign_out(actor: Actor) -> None:
    """End the session that the actor's token belongs to; its tokens are refused from here on."""
    end_sessions(Session.id == actor.session_id)
    audit.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": str(actor.session_id)})


def sign_out_everywhere(actor: Actor) -> None:
    """End every session of the actor, this one included."""
    end_sessions(Session.admin_id == actor.admin_id)
    audit.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": "all"})


def end_session(session_id: UUID) -> None:
    """End one session, whoever asks: its refresh token was shown twice."""
    end_sessions(Session.id == session_id)


def end_sessions(which: ColumnElement[bool]) -> None:
    """End the living sessions among these."""
    living = Session.revoked_at.is_(None)
    db.session.execute(update(Session).where(which, living).values(revoked_at=now()))


def confirm(claims: Claims, stranger: Actor) -> Actor:
    """Return the stranger as the admin whom the claims name, with today's role.

    Raise `Unauthenticated` if the session ended, or the admin is disabled or has a new password.
    One indexed read of the primary; it also tells whether refusals of this admin were folded.
    """
    facts = claims._asdict() | {"caller": f"admin:{claims.admin_id}", "moment": now()}
    row = run(SIGNED_IN, facts).one_or_none()
    if not row:
        raise Unauthenticated("This session has ended; sign in again.", code="token_revoked")
    return replace(
        stranger,
        name=row.email,
        admin_id=claims.admin_id,
        session_id=claims.session_id,
        role=row.role,
        has_folded=bool(row.folded),
    )
