"""API tokens: credentials of an admin's programs."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Text, bindparam, cast, literal_column, select, update

from pipelabs.accounts.commands import NewToken
from pipelabs.accounts.sessions import LAST_SEEN_INTERVAL, needs_last_seen_update
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import Prepared, db, run_prepared
from pipelabs.core.errors import InvalidInput, NotFound, Unauthenticated
from pipelabs.core.ip_address import UNKNOWN
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import Admin, APIToken, CoalescedDenials, Permission, now

PREFIX = "pl_"
PREFIX_LENGTH = len(PREFIX) + 6
NEVER_GRANTED = frozenset(
    {
        Permission.SELF_WRITE,
        Permission.ADMINS_WRITE,
        Permission.API_KEYS_ACCEPT,
        Permission.APPROVALS_DECIDE,
        Permission.MACHINES_WRITE,
        Permission.STOPS_LIFT,
    }
)
"""A stolen token must not create tokens or lock out its owner. Only a person accepts a risk, or
lets a machine have keys."""
FIND_OWNER = Prepared(
    "find_token_owner",
    select(
        APIToken.prefix,
        APIToken.permissions,
        APIToken.addresses,
        APIToken.last_used_at,
        Admin.id,
        Admin.email,
        Admin.role,
        Admin.must_change_password,
        CoalescedDenials.coalesced,
    )
    .join(Admin, Admin.id == APIToken.admin_id)
    .outerjoin(
        CoalescedDenials,
        CoalescedDenials.caller == literal_column("'admin:'") + cast(Admin.id, Text),
    )
    .where(
        APIToken.digest == bindparam("digest"),
        APIToken.revoked_at.is_(None),
        APIToken.expires_at > bindparam("moment"),
        Admin.is_disabled.is_(False),
    ),
    reads=True,
)


class CreatedToken(NamedTuple):
    """A new API token and its text, which is not stored."""

    token: APIToken
    text: str


def list_grantable_permissions(actor: Actor) -> list[Permission]:
    """Return the permissions that the actor may grant to an API token, sorted."""
    return sorted(actor.permissions - NEVER_GRANTED)


def create_token(command: NewToken, actor: Actor) -> CreatedToken:
    """Create an API token of the actor.

    Raise `InvalidInput` for permissions that the actor lacks or that no token may have.
    """
    if excess := sorted(set(command.permissions).difference(list_grantable_permissions(actor))):
        sentence = f"You can't grant these permissions to a token: {', '.join(excess)}."
        raise InvalidInput(sentence, fields={"permissions": [sentence]})
    text = PREFIX + secrets.token_urlsafe(32)
    token = APIToken(
        admin_id=actor.admin_id,
        name=command.name,
        prefix=text[:PREFIX_LENGTH],
        last_four=text[-4:],
        digest=_digest(text),
        permissions=sorted({permission.value for permission in command.permissions}),
        addresses=[str(network) for network in command.addresses],
        expires_at=now() + timedelta(days=command.expires_in_days),
    )
    db.session.add(token)
    db.session.flush()
    facts = {"permissions": ",".join(token.permissions), "addresses": ",".join(token.addresses)}
    expiry = {"expires_at": token.expires_at.isoformat()}
    trail.record(Event.API_TOKEN_CREATED, actor, facts=_token_facts(token) | facts | expiry)
    return CreatedToken(token, text)


def list_tokens(admin_id: UUID, size: int, cursor: str | None = None) -> Page[APIToken]:
    """Return a page of the admin's tokens, newest first, without revoked ones."""
    query = select(APIToken).where(APIToken.admin_id == admin_id, APIToken.revoked_at.is_(None))
    newest_first = query.order_by(APIToken.created_at.desc(), APIToken.id.desc())
    return page_of(newest_first, size, cursor)


def list_live_tokens(admin_id: UUID) -> Sequence[APIToken]:
    """Return the admin's tokens that are neither revoked nor expired, the oldest first."""
    is_live = (APIToken.revoked_at.is_(None), APIToken.expires_at > now())
    query = select(APIToken).where(APIToken.admin_id == admin_id, *is_live)
    return db.session.scalars(query.order_by(APIToken.created_at, APIToken.id)).all()


def get_token(token_id: UUID, admin_id: UUID) -> APIToken:
    """Return the admin's token. Raise `NotFound` also if it is revoked."""
    token = db.session.get(APIToken, token_id)
    if not token or token.admin_id != admin_id or token.revoked_at:
        raise NotFound("There is no such token.")
    return token


def revoke_token(token_id: UUID, admin_id: UUID, actor: Actor) -> APIToken:
    """Revoke the admin's token with immediate effect."""
    token = get_token(token_id, admin_id)
    token.revoked_at = now()
    trail.record(
        Event.API_TOKEN_REVOKED, actor, facts=_token_facts(token) | {"admin": str(admin_id)}
    )
    return token


def revoke_live_tokens(admin_id: UUID, actor: Actor) -> int:
    """Revoke every live token of the admin. Return how many there were."""
    tokens = list_live_tokens(admin_id)
    for token in tokens:
        revoke_token(token.id, admin_id, actor)
    return len(tokens)


def authenticate_token(text: str, anonymous: Actor) -> Actor:
    """Return the caller as the token's owner.

    Its permissions are those that both the token and the owner's current role have. Raise
    `Unauthenticated` if the token is unknown, expired or revoked, its owner is disabled, or it
    may not be used from this address.
    """
    moment = now()
    rows = run_prepared(FIND_OWNER, {"digest": _digest(text), "moment": moment})
    if not rows:
        raise Unauthenticated("API token is invalid, expired or revoked.", code="token_invalid")
    [row] = rows
    if not _is_in_networks(anonymous.address, row.addresses):
        raise Unauthenticated(
            "API token may not be used from this IP address.",
            code="token_address",
            facts={"token": row.prefix, "owner": row.email},
        )
    return anonymous.identified(
        name=row.email,
        admin_id=row.id,
        role=row.role,
        permissions=row.role.permissions & frozenset(row.permissions),
        token=row.prefix,
        must_change_password=row.must_change_password,
        needs_last_seen_update=needs_last_seen_update(row.last_used_at, moment),
        has_coalesced=bool(row.coalesced),
    )


def touch_last_used(text: str, actor: Actor) -> None:
    """Record when and from where the token was used. Only one of concurrent calls writes."""
    moment = now()
    last = APIToken.last_used_at
    is_due = last.is_(None) | (last < moment - LAST_SEEN_INTERVAL)
    statement = update(APIToken).where(APIToken.digest == _digest(text), is_due)
    db.session.execute(statement.values(last_used_at=moment, last_address=actor.address))


def _is_in_networks(address: str | None, networks: Sequence[str]) -> bool:
    """Return whether the address is in one of the networks. Without networks any is allowed."""
    if not networks:
        return True
    if not address or address == UNKNOWN:
        return False
    ip = ip_address(address)
    return any(ip in ip_network(network) for network in networks)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _token_facts(token: APIToken) -> dict[str, str]:
    return {"api_token": str(token.id), "token": token.prefix, "name": token.name}
