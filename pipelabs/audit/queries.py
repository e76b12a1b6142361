"""The lists of audit events: what was done, newest first, by whatever narrows it down."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select

from pipelabs.audit.line_format import format_line
from pipelabs.core.db import db
from pipelabs.core.errors import NotFound
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import Admin, AuditEvent

MAX_ID = 2**63 - 1
NEWEST_FIRST = select(AuditEvent).order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
EQUAL = ("client_id", "event", "status", "request_id", "address")
"""Filters that are a column's name and ask for its value."""


def list_events(
    filters: Mapping[str, Any], size: int, cursor: str | None = None
) -> Page[AuditEvent]:
    """Return a page of the events that every filter lets through, newest first.

    `filters` are `since` (that moment included) and `until` (not included), both aware, `admin` (an
    id, or what the trail calls the actor), and any of `EQUAL`; None stands for no filter.
    """
    wanted = [getattr(AuditEvent, name) == filters[name] for name in EQUAL if filters.get(name)]
    if since := filters.get("since"):
        wanted.append(AuditEvent.at >= since)
    if until := filters.get("until"):
        wanted.append(AuditEvent.at < until)
    if admin := filters.get("admin"):
        wanted += _by(admin)
    return page_of(NEWEST_FIRST.where(*wanted), size, cursor)


def get_event(event_id: int) -> AuditEvent:
    """Return the event, or raise `NotFound`."""
    if event_id <= MAX_ID and (event := db.session.get(AuditEvent, event_id)):
        return event
    raise NotFound("There is no such event.")


def list_related_events(event: AuditEvent) -> list[AuditEvent]:
    """Return the other events of the event's request, oldest first, at most a hundred."""
    others = select(AuditEvent).where(
        AuditEvent.request_id == event.request_id, AuditEvent.id != event.id
    )
    return list(db.session.scalars(others.order_by(AuditEvent.id).limit(100)))


def get_line(event: AuditEvent) -> str:
    """Return the event's line as the audit file and the console have it."""
    columns = AuditEvent.__table__.columns
    return format_line({column.key: getattr(event, column.key) for column in columns})


def _by(admin: str) -> list[ColumnElement[bool]]:
    """Return what finds the acts of an admin, or of an actor that never was one: `cli:root`."""
    admin_id = _as_id(admin) or db.session.scalar(
        select(Admin.id).where(Admin.email == admin.lower())
    )
    if admin_id:
        return [AuditEvent.admin_id == admin_id]
    return [AuditEvent.admin_id.is_(None), AuditEvent.actor == admin]


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
