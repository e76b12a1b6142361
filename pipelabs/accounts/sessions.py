"""The rules of sessions: signing in, staying in, and ending."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Row, bindparam, select, update

from pipelabs.accounts import passwords, sign_in_throttle
from pipelabs.audit import coalescing, trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db, run
from pipelabs.core.errors import NotFound, SessionReplayed, Unauthenticated
from pipelabs.models import Admin, CoalescedDenials, Session, now

SESSION_LIFE = timedelta(hours=12)
"""NIST SP 800-63B-4: reauthentication at least every 12 hours at AAL2."""
IDLE = timedelta(minutes=30)
"""NIST SP 800-63B-4: and after 30 minutes of inactivity; here, without a renewal."""
SEEN_EVERY = timedelta(minutes=1)
"""How exact `seen_at` is; it would cost a write a request otherwise."""
USER_AGENT_LENGTH = 200
MAX_LISTED = 100
SIGNED_IN = (
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


def sign_in(email: str, password: str, actor: Actor, user_agent: str = "") -> SignedIn:
    """Open a session; raise the same `Unauthenticated` whatever was wrong, after the same time.

    Of what the caller's program calls itself, the printable beginning is kept.
    """
    admin = db.session.scalar(select(Admin).where(Admin.email == email))
    is_right = passwords.is_right(password, admin.password_hash if admin else None)
    if not admin or not is_right or admin.is_disabled:
        raise Unauthenticated(
            "E-mail address or password is wrong.",
            code="wrong_credentials",
            facts={"claimed_email": email},
        )
    session = _open(admin.id, actor.address or "", user_agent)
    sign_in_throttle.release(email, actor.address)
    coalescing.purge()
    # Nobody has asked yet whether refusals of this admin were folded; the row looks.
    who = replace(actor, name=admin.email, admin_id=admin.id, has_coalesced=True)
    trail.record(Event.ADMIN_SIGNED_IN, who, facts={"session": str(session.id)})
    return SignedIn(admin, session)


def renew(claims: Claims, refresh_jti: UUID, anonymous: Actor) -> SignedIn:
    """Give the session a new refresh token; the one that was shown counts no more.

    Raise `SessionReplayed` if it had been shown before, `Unauthenticated` if the session is over.
    """
    actor = authenticate(claims, anonymous)
    session = db.session.get_one(Session, claims.session_id, with_for_update=True)
    if session.refresh_jti != refresh_jti:
        raise SessionReplayed(
            "This refresh token was used before; sign in again.", session_id=session.id
        )
    if session.renewed_at < now() - IDLE:
        raise Unauthenticated("This session was idle too long; sign in again.", code="session_idle")
    session.refresh_jti, session.renewed_at = uuid4(), now()
    trail.record(Event.ADMIN_SESSION_RENEWED, actor, facts={"session": str(session.id)})
    return SignedIn(db.session.get_one(Admin, session.admin_id), session)


def _open(admin_id: UUID, address: str, user_agent: str) -> Session:
    printable = "".join(filter(str.isprintable, user_agent))
    session = Session(
        id=uuid4(),
        admin_id=admin_id,
        address=address,
        user_agent=printable[:USER_AGENT_LENGTH],
        refresh_jti=uuid4(),
        seen_at=now(),
        expires_at=now() + SESSION_LIFE,
    )
    db.session.add(session)
    db.session.flush()
    return session


def list_sessions(admin_id: UUID) -> Sequence[Session]:
    """Return the admin's living sessions, the one seen last first."""
    mine = select(Session).where(Session.admin_id == admin_id, *_living())
    return db.session.scalars(
        mine.order_by(Session.seen_at.desc().nulls_last()).limit(MAX_LISTED)
    ).all()


def end_my_session(session_id: UUID, actor: Actor) -> None:
    """End one living session of the actor's, or raise `NotFound`."""
    mine = (Session.id == session_id, Session.admin_id == actor.admin_id)
    if not db.session.scalar(select(Session.id).where(*mine, *_living())):
        raise NotFound("There is no such session.")
    end_sessions(Session.id == session_id)
    trail.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": str(session_id)})


def end_other_sessions(actor: Actor) -> None:
    """End every session of the actor but this one."""
    end_sessions((Session.admin_id == actor.admin_id) & (Session.id != actor.session_id))
    trail.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": "others"})


def sign_out(actor: Actor) -> None:
    """End the session that the actor's token belongs to; its tokens are refused from here on."""
    end_sessions(Session.id == actor.session_id)
    trail.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": str(actor.session_id)})


def sign_out_everywhere(actor: Actor) -> None:
    """End every session of the actor, this one included."""
    end_sessions(Session.admin_id == actor.admin_id)
    trail.record(Event.ADMIN_SIGNED_OUT, actor, facts={"session": "all"})


def end_session(session_id: UUID) -> None:
    """End one session, whoever asks: its refresh token was shown twice."""
    end_sessions(Session.id == session_id)


def end_sessions(which: ColumnElement[bool]) -> None:
    """End the living sessions among these."""
    living = Session.revoked_at.is_(None)
    db.session.execute(update(Session).where(which, living).values(revoked_at=now()))


def authenticate(claims: Claims, anonymous: Actor) -> Actor:
    """Return the stranger as the admin whom the claims name, with today's role.

    Raise `Unauthenticated` if the session ended, or the admin is disabled or has a new password.
    One indexed read of the primary; it also tells whether refusals of this admin were folded.
    """
    return _named(_signed_in(claims), claims, anonymous)


def authenticate_console(claims: Claims, anonymous: Actor) -> Actor:
    """Return the admin of a browser's session.

    `needs_last_seen_update` asks the caller for `keep_alive`, at most once a minute. Raise
    `Unauthenticated` as `authenticate` does, and after `IDLE`.
    """
    row = _signed_in(claims)
    idle = now() - row.renewed_at
    if idle > IDLE:
        raise Unauthenticated("This session was idle too long; sign in again.", code="session_idle")
    return replace(_named(row, claims, anonymous), needs_last_seen_update=idle > SEEN_EVERY)


def keep_alive(actor: Actor) -> None:
    """Keep the session of the actor's browser from becoming idle."""
    moment = now()
    session = update(Session).where(Session.id == actor.session_id)
    db.session.execute(session.values(renewed_at=moment, seen_at=moment))


def _signed_in(claims: Claims) -> Row[Any]:
    facts = claims._asdict() | {"caller": f"admin:{claims.admin_id}", "moment": now()}
    if row := run(SIGNED_IN, facts).one_or_none():
        return row
    raise Unauthenticated("This session has ended; sign in again.", code="token_revoked")


def _named(row: Row[Any], claims: Claims, anonymous: Actor) -> Actor:
    return replace(
        anonymous,
        name=row.email,
        admin_id=claims.admin_id,
        session_id=claims.session_id,
        role=row.role,
        permissions=row.role.permissions,
        must_change_password=row.must_change_password,
        needs_last_seen_update=row.seen_at is None or row.seen_at < now() - SEEN_EVERY,
        has_coalesced=bool(row.coalesced),
    )


def rotate_refresh_token(actor: Actor) -> Session:
    """Return the actor's session with a new refresh token; the one before counts no more."""
    session = db.session.get_one(Session, actor.session_id, with_for_update=True)
    session.refresh_jti, session.renewed_at = uuid4(), now()
    return session


def touch_last_seen(actor: Actor) -> None:
    """Note that the actor's session is in use; of two at once, one writes."""
    moment = now()
    is_old = Session.seen_at.is_(None) | (Session.seen_at < moment - SEEN_EVERY)
    seen = update(Session).where(Session.id == actor.session_id, is_old)
    db.session.execute(seen.values(seen_at=moment))


def _living() -> tuple[ColumnElement[bool], ...]:
    return Session.revoked_at.is_(None), Session.expires_at > now()
