"""Sessions: sign in, authenticate, renew and end."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, bindparam, func, select, update

from pipelabs.accounts import passwords, sign_in_throttle
from pipelabs.audit import coalescing, trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import Prepared, db, run_prepared
from pipelabs.core.errors import NotFound, RefreshTokenReplayed, Unauthenticated
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import Admin, CoalescedDenials, Session, new_id, now

SESSION_LIFETIME = timedelta(hours=12)
"""NIST SP 800-63B-4: reauthentication at least every 12 hours at AAL2."""
IDLE_TIMEOUT = timedelta(minutes=30)
"""NIST SP 800-63B-4: and after 30 minutes of inactivity, here without a renewal."""
LAST_SEEN_INTERVAL = timedelta(minutes=1)
"""How often `seen_at` is written. It would cost a write for each request otherwise."""
USER_AGENT_LENGTH = 200
FIND_SESSION = Prepared(
    "find_session",
    select(
        Admin.email,
        Admin.role,
        Admin.must_change_password,
        Session.renewed_at,
        Session.seen_at,
        CoalescedDenials.coalesced,
    )
    .join(Session, Session.admin_id == Admin.id)
    .outerjoin(CoalescedDenials, CoalescedDenials.caller == bindparam("caller"))
    .where(
        Session.id == bindparam("session_id"),
        Session.revoked_at.is_(None),
        Session.expires_at > bindparam("moment"),
        Admin.id == bindparam("admin_id"),
        Admin.token_version == bindparam("token_version"),
        Admin.is_disabled.is_(False),
    ),
    reads=True,
)


class SignedIn(NamedTuple):
    """A session with a new refresh token, and its admin."""

    admin: Admin
    session: Session


class Claims(NamedTuple):
    """The claims of an access token; not trusted until checked against the primary database."""

    admin_id: UUID
    session_id: UUID
    token_version: int


def sign_in(email: str, password: str, actor: Actor, user_agent: str = "") -> SignedIn:
    """Open a session.

    Raise the same `Unauthenticated`, after the same time, whatever was wrong. Only a caller
    with the right one-time password learns that it no longer works. The user agent is stored
    without unprintable characters and truncated.
    """
    admin = db.session.scalar(select(Admin).where(Admin.email == email))
    is_right = passwords.verify_password(password, admin.password_hash if admin else None)
    if not admin or not is_right or admin.is_disabled:
        raise Unauthenticated(
            "E-mail address or password is wrong.",
            code="wrong_credentials",
            facts={"claimed_email": email},
        )
    if admin.must_change_password and not _use_one_time_password(admin.id):
        raise Unauthenticated(
            "This one-time password was used or has expired. Ask an owner for another one.",
            code="one_time_password_over",
            facts={"claimed_email": email},
        )
    session = _create_session(admin.id, actor.address or "", user_agent)
    sign_in_throttle.release(email, actor.address)
    coalescing.purge()
    # It is not known yet whether denials of this admin were coalesced, so let the row check.
    admin_actor = replace(actor, name=admin.email, admin_id=admin.id, has_coalesced=True)
    trail.record(Event.ADMIN_SIGNED_IN, admin_actor, facts={"session": str(session.id)})
    return SignedIn(admin, session)


def renew_session(claims: Claims, refresh_jti: UUID, anonymous: Actor) -> SignedIn:
    """Replace the session's refresh token.

    Raise `RefreshTokenReplayed` if this token was used before, and `Unauthenticated` if the
    session has ended or was idle too long.
    """
    actor = authenticate(claims, anonymous)
    session = db.session.get_one(Session, claims.session_id, with_for_update=True)
    if session.refresh_jti != refresh_jti:
        raise RefreshTokenReplayed(
            "This refresh token was used before. Sign in again.", session_id=session.id
        )
    if session.renewed_at < now() - IDLE_TIMEOUT:
        raise Unauthenticated("This session was idle too long. Sign in again.", code="session_idle")
    session.refresh_jti, session.renewed_at = uuid4(), now()
    trail.record(Event.ADMIN_SESSION_RENEWED, actor, facts={"session": str(session.id)})
    return SignedIn(db.session.get_one(Admin, session.admin_id), session)


def _use_one_time_password(admin_id: UUID) -> bool:
    """Return whether the one-time password still works, which it does no longer afterwards."""
    is_unused = Admin.one_time_password_until > now()
    statement = update(Admin).where(Admin.id == admin_id, is_unused)
    used = statement.values(one_time_password_until=None).returning(Admin.id)
    return db.session.scalar(used) is not None


def _create_session(admin_id: UUID, address: str, user_agent: str) -> Session:
    printable = "".join(filter(str.isprintable, user_agent))
    session = Session(
        id=new_id(),
        admin_id=admin_id,
        address=address,
        user_agent=printable[:USER_AGENT_LENGTH],
        refresh_jti=uuid4(),
        seen_at=now(),
        expires_at=now() + SESSION_LIFETIME,
    )
    db.session.add(session)
    db.session.flush()
    return session


def list_sessions(admin_id: UUID, size: int = 100, cursor: str | None = None) -> Page[Session]:
    """Return a page of the admin's active sessions, most recently seen first."""
    query = select(Session).where(Session.admin_id == admin_id, *_is_active())
    last_seen = func.coalesce(Session.seen_at, Session.created_at)
    return page_of(query.order_by(last_seen.desc(), Session.id.desc()), size, cursor)


def end_own_session(session_id: UUID, actor: Actor) -> None:
    """End an active session of the actor, or raise `NotFound`."""
    is_own = (Session.id == session_id, Session.admin_id == actor.admin_id)
    if not db.session.scalar(select(Session.id).where(*is_own, *_is_active())):
        raise NotFound("There is no such session.")
    end_sessions(Session.id == session_id)
    trail.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": str(session_id)})


def end_other_sessions(actor: Actor) -> None:
    """End every session of the actor except this one."""
    end_sessions((Session.admin_id == actor.admin_id) & (Session.id != actor.session_id))
    trail.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": "others"})


def sign_out(actor: Actor) -> None:
    """End the session of the actor's token, with immediate effect."""
    end_sessions(Session.id == actor.session_id)
    trail.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": str(actor.session_id)})


def sign_out_everywhere(actor: Actor) -> None:
    """End every session of the actor, this one included."""
    end_sessions(Session.admin_id == actor.admin_id)
    trail.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": "all"})


def end_session(session_id: UUID) -> None:
    """End a session without an audit event: its refresh token was replayed."""
    end_sessions(Session.id == session_id)


def end_sessions(condition: ColumnElement[bool]) -> None:
    """End the sessions that match the condition. Those that have ended keep their time."""
    is_open = Session.revoked_at.is_(None)
    db.session.execute(update(Session).where(condition, is_open).values(revoked_at=now()))


def authenticate(claims: Claims, anonymous: Actor) -> Actor:
    """Return the caller as the admin of the claims, with the admin's current role.

    Raise `Unauthenticated` if the session has ended, or the admin is disabled or has a new
    password. It costs one indexed read of the primary database, which also returns whether
    denials of this admin were coalesced.
    """
    return _to_actor(_find_session(claims), claims, anonymous)


def authenticate_console(claims: Claims, anonymous: Actor) -> Actor:
    """Return the admin of a browser's session.

    `needs_last_seen_update` asks the caller for `keep_alive`, at most once a minute. Raise
    `Unauthenticated` as `authenticate` does, and after `IDLE_TIMEOUT`.
    """
    row = _find_session(claims)
    idle = now() - row.renewed_at
    if idle > IDLE_TIMEOUT:
        raise Unauthenticated("This session was idle too long. Sign in again.", code="session_idle")
    return replace(
        _to_actor(row, claims, anonymous), needs_last_seen_update=idle > LAST_SEEN_INTERVAL
    )


def keep_alive(actor: Actor) -> None:
    """Keep the session of the actor's browser from becoming idle."""
    moment = now()
    session = update(Session).where(Session.id == actor.session_id)
    db.session.execute(session.values(renewed_at=moment, seen_at=moment))


def _find_session(claims: Claims) -> Any:
    values = claims._asdict() | {"caller": f"admin:{claims.admin_id}", "moment": now()}
    if rows := run_prepared(FIND_SESSION, values):
        return rows[0]
    raise Unauthenticated("This session has ended. Sign in again.", code="token_revoked")


def _to_actor(row: Any, claims: Claims, anonymous: Actor) -> Actor:
    return anonymous.identified(
        name=row.email,
        admin_id=claims.admin_id,
        session_id=claims.session_id,
        role=row.role,
        permissions=row.role.permissions,
        must_change_password=row.must_change_password,
        needs_last_seen_update=needs_last_seen_update(row.seen_at, now()),
        has_coalesced=bool(row.coalesced),
    )


def rotate_refresh_token(actor: Actor) -> Session:
    """Return the actor's session with a new refresh token, which invalidates the previous one."""
    session = db.session.get_one(Session, actor.session_id, with_for_update=True)
    session.refresh_jti, session.renewed_at = uuid4(), now()
    return session


def touch_last_seen(actor: Actor) -> None:
    """Record that the actor's session is in use. Only one of concurrent calls writes."""
    moment = now()
    is_due = Session.seen_at.is_(None) | (Session.seen_at < moment - LAST_SEEN_INTERVAL)
    statement = update(Session).where(Session.id == actor.session_id, is_due)
    db.session.execute(statement.values(seen_at=moment))


def needs_last_seen_update(last_at: datetime | None, moment: datetime) -> bool:
    """Return whether the recorded last use is older than `LAST_SEEN_INTERVAL`."""
    return last_at is None or last_at < moment - LAST_SEEN_INTERVAL


def _is_active() -> tuple[ColumnElement[bool], ...]:
    return Session.revoked_at.is_(None), Session.expires_at > now()
