"""What happened to one thing, newest first, in sentences."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select

from pipelabs.activity.sentences import Entry, tell
from pipelabs.audit.events import ROUTINE
from pipelabs.audit.subjects import EXCHANGE, SUBJECT, Kind
from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import AuditEvent, Grant, Lease, Market

MAX_ENTRIES = 30
"""Entries on the page of a thing. The activity page has all."""
MAX_GRANTS = MAX_LEASES = 100
IS_SHOWN = AuditEvent.event.not_in(ROUTINE)


def list_of_subject(kind: Kind, subject_id: object, limit: int = MAX_ENTRIES) -> list[Entry]:
    """Return what happened to a subject."""
    return _list([_is_about(kind, subject_id)], limit)


def list_of_client(client_id: UUID, limit: int = MAX_ENTRIES) -> list[Entry]:
    """Return what happened to a client, its markets and its keys."""
    return tell(db.session.scalars(_select_of_client(client_id).limit(limit)).all())


def list_page_of_client(
    client_id: UUID, size: int = 50, cursor: str | None = None
) -> Page[AuditEvent]:
    """Return a page of what `list_of_client` returns, as events."""
    return page_of(_select_of_client(client_id), size, cursor)


def list_of_token_pair(token_pair_id: UUID, limit: int = MAX_ENTRIES) -> list[Entry]:
    """Return what happened to a token pair and its markets."""
    query = select(Market.id).where(Market.token_pair_id == token_pair_id)
    about_markets = [_is_about(Kind.MARKET, row) for row in db.session.scalars(query)]
    return _list([or_(_is_about(Kind.TOKEN_PAIR, token_pair_id), *about_markets)], limit)


def list_of_key(key_id: UUID, limit: int = MAX_ENTRIES) -> list[Entry]:
    """Return what happened to an exchange API key and its leases."""
    query = select(Lease.id).where(Lease.key_id == key_id).limit(MAX_LEASES)
    about_leases = [_is_about(Kind.LEASE, row) for row in db.session.scalars(query)]
    return _list([or_(_is_about(Kind.API_KEY, key_id), *about_leases)], limit)


def list_of_machine(machine_id: UUID, limit: int = MAX_ENTRIES) -> list[Entry]:
    """Return what happened to a machine and its grants. It has many leases, which are left out."""
    query = select(Grant.id).where(Grant.machine_id == machine_id)
    latest = query.order_by(Grant.created_at.desc()).limit(MAX_GRANTS)
    about_grants = [_is_about(Kind.GRANT, row) for row in db.session.scalars(latest)]
    return _list([or_(_is_about(Kind.MACHINE, machine_id), *about_grants)], limit)


def list_of_exchange(slug: str, limit: int = MAX_ENTRIES) -> list[Entry]:
    """Return what happened at an exchange."""
    return _list([AuditEvent.details[EXCHANGE].astext == slug], limit)


def list_of_admin(admin_id: UUID, limit: int = MAX_ENTRIES) -> list[Entry]:
    """Return what an admin did, and what others did to its account."""
    own = _find([AuditEvent.admin_id == admin_id], limit)
    about = _find([_is_about(Kind.ADMIN, admin_id)], limit)
    both = {event.id: event for event in (*own, *about)}.values()
    return tell(sorted(both, key=lambda event: (event.at, event.id), reverse=True)[:limit])


def _select_of_client(client_id: UUID) -> Select[AuditEvent]:
    # In the order of ids, because the index of clients has no times.
    query = select(AuditEvent).where(AuditEvent.client_id == client_id, IS_SHOWN)
    return query.order_by(AuditEvent.id.desc())


def _is_about(kind: Kind, subject_id: object) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = AuditEvent.details[SUBJECT].astext == f"{kind}:{subject_id}"
    return condition


def _list(conditions: Sequence[ColumnElement[bool]], limit: int) -> list[Entry]:
    return tell(_find(conditions, limit))


def _find(conditions: Sequence[ColumnElement[bool]], limit: int) -> Sequence[AuditEvent]:
    query = select(AuditEvent).where(*conditions, IS_SHOWN)
    newest_first = query.order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
    return db.session.scalars(newest_first.limit(limit)).all()
