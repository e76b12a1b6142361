"""Who held which key at some time, from the audit trail."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Text, literal_column, select
from sqlalchemy.dialects.postgresql import distinct_on

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Lease, Outcome, now
from pipelabs.models.leases import DAY_S

BEGINS = (Event.LEASE_GRANTED.value, Event.LEASE_RENEWED.value)
ENDS = (Event.LEASE_ENDED.value, Event.LEASE_ACKNOWLEDGED.value)
REACH = timedelta(seconds=DAY_S) + timedelta(hours=1, minutes=5)
"""The longest lease, and how often renewals are recorded: an earlier event says nothing."""
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
"""Before that nothing was leased."""
MAX_ROWS = 10_000
LEASE: ColumnElement[str] = literal_column("audit_events.details ->> 'lease'", Text)
"""A bound name would be two parameters, so DISTINCT ON and ORDER BY would differ."""


class Held(NamedTuple):
    """A key that a machine held, and the last event before that time that says so."""

    lease_id: UUID
    machine_id: UUID
    key_id: UUID
    client_id: UUID | None
    exchange: str
    label: str
    generation: int
    recorded_at: datetime


def list_held_at(moment: datetime, filters: Mapping[str, Any]) -> list[Held]:
    """Return which machines held which keys at a time, at most `MAX_ROWS`.

    `filters` are `machine_id` and `api_key_id`. A lease that has expired counts until its time was
    over, even if that was recorded later.
    """
    if not BEGINNING <= moment <= now() + REACH:
        return []
    names = {"machine_id": "machine", "api_key_id": "key"}
    conditions = [
        AuditEvent.details[fact].astext == str(filters[name])
        for name, fact in names.items()
        if filters.get(name)
    ]
    last = (
        select(AuditEvent)
        .where(
            AuditEvent.event.in_((*BEGINS, *ENDS)),
            AuditEvent.status == Outcome.SUCCESS,
            AuditEvent.at <= moment,
            AuditEvent.at > moment - REACH,
            *conditions,
        )
        .ext(distinct_on(LEASE))
        .order_by(LEASE, AuditEvent.id.desc())
        .limit(MAX_ROWS)
    )
    begun = [row for row in db.session.scalars(last) if row.event in BEGINS]
    expiries = _find_expiries(moment, [row.details["lease"] for row in begun])
    return [_held(row) for row in begun if expiries[row.details["lease"]] > moment]


def _find_expiries(moment: datetime, lease_ids: Sequence[str]) -> dict[str, datetime]:
    """Return until when each lease was held: the end that was recorded next, or its row's."""
    rows = db.session.execute(select(Lease.id, Lease.expires_at).where(Lease.id.in_(lease_ids)))
    expiries = {str(lease_id): expires_at for lease_id, expires_at in rows}
    following = (
        select(LEASE, AuditEvent.at, AuditEvent.details["until"].astext)
        .where(
            AuditEvent.event.in_(ENDS),
            AuditEvent.status == Outcome.SUCCESS,
            AuditEvent.at > moment,
            AuditEvent.at <= moment + 2 * REACH,
            LEASE.in_(lease_ids),
        )
        .ext(distinct_on(LEASE))
        .order_by(LEASE, AuditEvent.id)
    )
    for lease_id, at, until in db.session.execute(following):
        expiries[lease_id] = min(at, datetime.fromisoformat(until))
    return expiries


def _held(row: AuditEvent) -> Held:
    facts = row.details
    return Held(
        lease_id=UUID(facts["lease"]),
        machine_id=UUID(facts["machine"]),
        key_id=UUID(facts["key"]),
        client_id=row.client_id,
        exchange=facts["exchange"],
        label=facts["label"],
        generation=int(facts["generation"]),
        recorded_at=row.at,
    )
