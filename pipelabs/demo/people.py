"""The admins of the demo: who works at the desk, from when until when, and how they sign in.

Their accounts can't be used to sign in. The common password is random and stored nowhere.
"""

import secrets
from datetime import datetime
from ipaddress import ip_network
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import insert, select

from pipelabs.accounts import api_tokens, passwords, retention, roles
from pipelabs.accounts.admins import ONE_TIME_LIFETIME, admin_facts
from pipelabs.accounts.commands import NewToken
from pipelabs.accounts.sessions import SESSION_LIFETIME
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.demo.history import DAY, DAYS, HOUR, MINUTE, Do, History
from pipelabs.models import Admin, APIToken, Permission, Role, Session, new_id, now
from pipelabs.models.clock import set_clock

TERMINAL = "cli:desk"
FOUNDER, PARTNER = "nadia.berg@desk.local", "tomas.lindqvist@desk.local"
HEAD, TRADER, ANALYST = "vera.okafor@desk.local", "ji-ho.park@desk.local", "sam.rivera@desk.local"
FORMER, AUDITOR = "marco.conti@desk.local", "lena.fischer@desk.local"
NEWCOMER = "aiko.tanaka@desk.local"
"""An admin who was given a one-time password and never used it."""
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Person(NamedTuple):
    """An admin who joins and, unless `until` is 0, leaves so many days before the end."""

    email: str
    role: Role
    address: str
    since: int
    until: int = 0


STAFF = (
    Person(FOUNDER, Role.OWNER, "198.51.100.10", DAYS, until=4),
    Person(PARTNER, Role.OWNER, "198.51.100.11", 364, until=2),
    Person(HEAD, Role.OPERATOR, "198.51.100.20", 364),
    Person(FORMER, Role.OPERATOR, "198.51.100.21", 362, until=200),
    Person(TRADER, Role.OPERATOR, "198.51.100.22", 350),
    Person(ANALYST, Role.VIEWER, "198.51.100.23", 300),
    Person(AUDITOR, Role.VIEWER, "203.0.113.40", 180),
    Person(NEWCOMER, Role.VIEWER, "198.51.100.24", 9),
)
"""Addresses are of networks for documentation (RFC 5737). All owners of the past have left: the
owner that `make run` creates is the only one."""
RETAINED_DAYS = retention.RETENTION.days
PROMOTED = 240
"""Days before the end when the analyst becomes an operator."""


def has_demo_admins() -> bool:
    """Return whether one of the demo's admins is stored."""
    emails = [person.email for person in STAFF]
    return db.session.scalar(select(Admin.id).where(Admin.email.in_(emails)).limit(1)) is not None


def plan_people(history: History) -> None:
    """Plan that the admins join, sign in, create API tokens and leave."""
    nobody_knows = passwords.hash_password(secrets.token_urlsafe(32))
    for person in STAFF:
        joins = history.workday(person.since)
        admin = _build_admin(person, joins, nobody_knows)
        history.admins[person.email] = admin
        history.addresses[person.email] = person.address
        inviter = TERMINAL if person.role is Role.OWNER else _owner_at(person.since)
        history.add(joins, history.actor(inviter, status=201), _add(admin))
        if person.email != NEWCOMER:
            _plan_sign_ins(history, person, joins)
        if person.until:
            _plan_leave(history, person)
    analyst = history.admins[ANALYST]
    history.add(
        history.workday(PROMOTED),
        history.actor(FOUNDER),
        lambda by: roles.change_role(analyst.id, Role.OPERATOR, by),
    )
    _plan_tokens(history)


def choose_operator(history: History, at: datetime) -> str:
    """Return the e-mail address of an operator who works at a time."""
    day = (history.ends_at - at) / DAY
    working = [HEAD]
    working += [FORMER] if STAFF[3].until + 1 < day < STAFF[3].since - 1 else []
    working += [TRADER] if day < STAFF[4].since - 1 else []
    working += [ANALYST] if day < PROMOTED - 4 else []
    return history.random.choice(working)


def _owner_at(day: float) -> str:
    return FOUNDER if day > STAFF[0].until + 1 else PARTNER


def _build_admin(person: Person, joins: datetime, password_hash: str) -> Admin:
    with set_clock(joins):
        return Admin(
            id=new_id(),
            created_at=now(),
            email=person.email,
            role=person.role,
            password_hash=password_hash,
            must_change_password=person.email == NEWCOMER,
            one_time_password_until=joins + ONE_TIME_LIFETIME if person.email == NEWCOMER else None,
        )


def _add(admin: Admin) -> Do:
    def add(actor: Actor) -> None:
        db.session.add(admin)
        db.session.flush()
        facts = admin_facts(admin) | {"role": admin.role.value}
        trail.record(Event.ADMIN_CREATED, actor, facts=facts)

    return add


def _plan_sign_ins(history: History, person: Person, joins: datetime) -> None:
    """Plan that the admin sets a password, signs in every few days, and signs out."""
    leaves = history.ago(person.until)
    at = history.next(joins)
    history.add(at, history.actor(person.email), _sign_in(history))
    history.add(
        at + MINUTE, history.actor(person.email), _change_password(history.admins[person.email])
    )
    while (at := history.next(at, history.random.uniform(2, 9))) < leaves - DAY:
        history.add(at, history.actor(person.email), _sign_in(history))
    if not person.until:
        at = history.ago(hours=history.random.uniform(1, 8))
        history.add(at, history.actor(person.email), _sign_in(history))


def _sign_in(history: History) -> Do:
    """Return a sign-in. Its session is over, and its tokens were never handed out."""

    def sign_in(actor: Actor) -> None:
        session: dict[str, Any] = {
            "id": new_id(),
            "created_at": now(),
            "admin_id": actor.admin_id,
            "address": actor.address,
            "user_agent": USER_AGENT,
            "refresh_jti": uuid4(),
            "renewed_at": now() + HOUR,
            "seen_at": now() + HOUR,
            "expires_at": now() + SESSION_LIFETIME,
            "revoked_at": now() + HOUR,
        }
        if session["expires_at"] > history.ago(RETAINED_DAYS):
            history.sessions.append(session)
        trail.record(Event.ADMIN_SIGNED_IN, actor, facts={"session": str(session["id"])})

    return sign_in


def add_sessions(history: History) -> None:
    """Insert the sessions of all sign-ins."""
    db.session.execute(insert(Session), history.sessions)


def _change_password(admin: Admin) -> Do:
    return lambda by: trail.record(Event.ADMIN_PASSWORD_CHANGED, by, facts=admin_facts(admin))


def _plan_leave(history: History, person: Person) -> None:
    at, admin = history.ago(person.until), history.admins[person.email]
    if person.email == PARTNER:
        history.add(at, history.actor(TERMINAL), lambda by: _disable_last_owner(admin, by))
        return
    actor = history.actor(_owner_at(person.until - 1))
    history.add(at, actor, lambda by: roles.set_disabled(admin.id, by, is_disabled=True))


def _disable_last_owner(admin: Admin, actor: Actor) -> None:
    """Disable an owner, which the service denies while no other one exists."""
    admin.is_disabled, admin.version = True, admin.version + 1
    db.session.flush()
    trail.record(Event.ADMIN_DISABLED, actor, facts=admin_facts(admin))


def _plan_tokens(history: History) -> None:
    """Plan API tokens: in use, expiring, expired and revoked. They are stored as hashes only."""
    for email, name, since, days in (
        (HEAD, "CRM sync", 84, 90),
        (HEAD, "Monday report", 120, 365),
        (TRADER, "Inventory sheet", 150, 90),
        (TRADER, "Trial of the quoting script", 60, 180),
    ):
        created: list[APIToken] = []
        command = NewToken(
            name=name,
            permissions=[Permission.CLIENTS_READ, Permission.TOKEN_PAIRS_READ],
            addresses=[ip_network("198.51.100.0/24")],
            expires_in_days=days,
        )
        at = history.workday(since)
        history.add(at, history.actor(email, status=201), _create_token(command, created))
    revoke = _revoke_token(created)
    history.add(history.next(at, 3), history.actor(TRADER), revoke)


def _create_token(command: NewToken, created: list[APIToken]) -> Do:
    def create(actor: Actor) -> None:
        token = api_tokens.create_token(command, actor).token
        token.last_used_at, token.last_address = now() + HOUR, actor.address
        created.append(token)

    return create


def _revoke_token(created: list[APIToken]) -> Do:
    return lambda by: api_tokens.revoke_token(created[0].id, created[0].admin_id, by)
