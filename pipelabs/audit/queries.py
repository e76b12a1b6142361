"""Queries of audit events, newest first."""

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
MAX_RELATED = 100
NEWEST_FIRST = select(AuditEvent).order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
EXACT_FILTERS = ("client_id", "event", "status", "request_id", "address")
"""Filters that are the name of a column and compare it for equality."""
FACT_FILTERS = ("subject", "exchange")
"""Filters that are the name of a fact, which an index has."""


def list_events(
    filters: Mapping[str, Any], size: int, cursor: str | None = None
) -> Page[AuditEvent]:
    """Return a page of the events that match every filter, newest first.

    `filters` are those of `build_conditions`.
    """
    return page_of(NEWEST_FIRST.where(*build_conditions(filters)), size, cursor)


def build_conditions(filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Return the conditions for the events that match every filter.

    `filters` are `since` (inclusive) and `until` (exclusive), both aware, `admin` (an id, an
    e-mail address or an actor such as `cli:root`), and any of `EXACT_FILTERS` and `FACT_FILTERS`.
    None means no filter.
    """
    conditions = [
        getattr(AuditEvent, name) == filters[name] for name in EXACT_FILTERS if filters.get(name)
    ]
    conditions += [
        AuditEvent.details[name].astext == filters[name]
        for name in FACT_FILTERS
        if filters.get(name)
    ]
    if since := filters.get("since"):
        conditions.append(AuditEvent.at >= since)
    if until := filters.get("until"):
        conditions.append(AuditEvent.at < until)
    if admin := filters.get("admin"):
        conditions += _admin_conditions(admin)
    return conditions


def get_event(event_id: int) -> AuditEvent:
    """Return the event, or raise `NotFound`."""
    if event_id <= MAX_ID and (event := db.session.get(AuditEvent, event_id)):
        return event
    raise NotFound("There is no such event.")


def list_related_events(event: AuditEvent) -> list[AuditEvent]:
    """Return the other events of the same request, oldest first, at most `MAX_RELATED`."""
    related = select(AuditEvent).where(
        AuditEvent.request_id == event.request_id, AuditEvent.id != event.id
    )
    return list(db.session.scalars(related.order_by(AuditEvent.id).limit(MAX_RELATED)))


def get_line(event: AuditEvent) -> str:
    """Return the event's line as in the audit file and on the console."""
    columns = AuditEvent.__table__.columns
    return format_line({column.key: getattr(event, column.key) for column in columns})


def _admin_conditions(admin: str) -> list[ColumnElement[bool]]:
    """Return the conditions for an admin's events, or for an actor without an account."""
    admin_id = _parse_id(admin) or db.session.scalar(
        select(Admin.id).where(Admin.email == admin.lower())
    )
    if admin_id:
        return [AuditEvent.admin_id == admin_id]
    return [AuditEvent.admin_id.is_(None), AuditEvent.actor == admin]


def _parse_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
