"""The rules of API tokens: what programs of an admin call with."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Text, bindparam, cast, literal, select, update

from pipelabs.accounts.sessions import LAST_SEEN_INTERVAL
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db, run
from pipelabs.core.errors import InvalidInput, NotFound, Unauthenticated
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import Admin, APIToken, CoalescedDenials, Permission, now

PREFIX = "pl_"
PREFIX_LENGTH = len(PREFIX) + 6
NEVER_GRANTED = frozenset(
    {Permission.SELF_WRITE, Permission.ADMINS_WRITE, Permission.API_KEYS_ACCEPT}
)
"""A stolen token must not make another, nor keep its owner out; only a person takes a risk."""
HOLDER = (
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
        CoalescedDenials, CoalescedDenials.caller == literal("admin:") + cast(Admin.id, Text)
    )
    .where(
        APIToken.digest == bindparam("digest"),
        APIToken.revoked_at.is_(None),
        APIToken.expires_at > bindparam("moment"),
        Admin.is_disabled.is_(False),
    )
)
"""Asked at every request of a program, so built once."""


class Made(NamedTuple):
    """A new API token, and its text, which is nowhere else."""

    token: APIToken
    text: str


def list_grantable_permissions(actor: Actor) -> frozenset[Permission]:
    """Return what an API token of the actor may be allowed."""
    return actor.permissions - NEVER_GRANTED


def create_token(data: Mapping[str, Any], actor: Actor) -> Made:
    """Make an API token of the actor's own; `data` is what `TokenIn` loads.

    Raise `InvalidInput` for permissions that the actor lacks or that no token has.
    """
    if excess := sorted(set(data["permissions"]) - list_grantable_permissions(actor)):
        sentence = f"A token of yours cannot have: {', '.join(excess)}."
        raise InvalidInput(sentence, fields={"permissions": [sentence]})
    text = PREFIX + secrets.token_urlsafe(32)
    token = APIToken(
        admin_id=actor.admin_id,
        name=data["name"],
        prefix=text[:PREFIX_LENGTH],
        last_four=text[-4:],
        digest=_digest(text),
        permissions=sorted({one.value for one in data["permissions"]}),
        addresses=[str(network) for network in data["addresses"]],
        expires_at=now() + timedelta(days=data["expires_in_days"]),
    )
    db.session.add(token)
    db.session.flush()
    facts = {"permissions": ",".join(token.permissions), "addresses": ",".join(token.addresses)}
    expiry = {"expires_at": token.expires_at.isoformat()}
    trail.record(Event.API_TOKEN_CREATED, actor, facts=_about(token) | facts | expiry)
    return Made(token, text)


def list_tokens(admin_id: UUID, size: int, cursor: str | None = None) -> Page[APIToken]:
    """Return one page of the admin's tokens, the newest first; those revoked are left out."""
    mine = select(APIToken).where(APIToken.admin_id == admin_id, APIToken.revoked_at.is_(None))
    newest = mine.order_by(APIToken.created_at.desc(), APIToken.id.desc())
    return page_of(newest, size, cursor)


def get_token(token_id: UUID, admin_id: UUID) -> APIToken:
    """Return the admin's token, or raise `NotFound` if there is none or it is revoked."""
    token = db.session.get(APIToken, token_id)
    if not token or token.admin_id != admin_id or token.revoked_at:
        raise NotFound("There is no such token.")
    return token


def revoke_token(token_id: UUID, admin_id: UUID, actor: Actor) -> APIToken:
    """Revoke the admin's token; it is refused everywhere from the next call on."""
    token = get_token(token_id, admin_id)
    token.revoked_at = now()
    trail.record(Event.API_TOKEN_REVOKED, actor, facts=_about(token) | {"owner": str(admin_id)})
    return token


def authenticate_token(text: str, anonymous: Actor) -> Actor:
    """Return the stranger as the token's owner, with what both token and today's role allow.

    Raise `Unauthenticated` if the token is none of ours, expired or revoked, its owner is
    disabled, or the call comes from elsewhere than it may.
    """
    moment = now()
    row = run(HOLDER, {"digest": _digest(text), "moment": moment}).one_or_none()
    if not row:
        raise Unauthenticated("This API token does not count (any more).", code="token_invalid")
    if not _is_from(anonymous.address, row.addresses):
        raise Unauthenticated(
            "This API token does not count from this address.",
            code="token_address",
            facts={"token": row.prefix, "owner": row.email},
        )
    return replace(
        anonymous,
        name=row.email,
        admin_id=row.id,
        role=row.role,
        permissions=row.role.permissions & frozenset(row.permissions),
        token=row.prefix,
        must_change_password=row.must_change_password,
        needs_last_seen_update=row.last_used_at is None
        or row.last_used_at < moment - LAST_SEEN_INTERVAL,
        has_coalesced=bool(row.coalesced),
    )


def touch_last_used(text: str, actor: Actor) -> None:
    """Note when and from where the token was used; of two calls at once, one writes."""
    moment = now()
    last = APIToken.last_used_at
    is_old = last.is_(None) | (last < moment - LAST_SEEN_INTERVAL)
    used = update(APIToken).where(APIToken.digest == _digest(text), is_old)
    db.session.execute(used.values(last_used_at=moment, last_address=actor.address))


def _is_from(address: str | None, networks: Sequence[str]) -> bool:
    """Return whether the address is in one of the networks; in any, if none is named."""
    if not networks:
        return True
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in ip_network(network) for network in networks)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _about(token: APIToken) -> dict[str, str]:
    return {"token": token.prefix, "name": token.name}
