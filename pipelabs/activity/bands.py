"""The status of a client or a market over the last days, as a band of colours."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select

from pipelabs.audit.changes import read_changes
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import SUBJECT, Kind
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Client, Market, Outcome, now

DAYS = 90
MAX_CHANGES = 1_000
EVENTS = {Kind.CLIENT: Event.CLIENT_STATUS_CHANGED, Kind.MARKET: Event.MARKET_UPDATED}


class Stretch(NamedTuple):
    """A time in which the status was the same."""

    status: str
    since: datetime
    until: datetime


class Band(NamedTuple):
    """The stretches of the last `DAYS` days, or since the creation if that was later."""

    since: datetime
    until: datetime
    stretches: Sequence[Stretch]


def build_band(thing: Client | Market) -> Band:
    """Return the band of a client or a market, from the changes that the audit trail has."""
    until = now()
    kind = Kind.CLIENT if isinstance(thing, Client) else Kind.MARKET
    since = max(thing.created_at, until - timedelta(days=DAYS))
    changes = _list_changes(kind, thing, since)
    status = changes[0][1] if changes else thing.status.value
    stretches, begun = [], since
    for at, _, after in changes:
        stretches.append(Stretch(status, begun, at))
        status, begun = after, at
    stretches.append(Stretch(status, begun, until))
    return Band(since, until, [stretch for stretch in stretches if stretch.until > stretch.since])


def _list_changes(
    kind: Kind, thing: Client | Market, since: datetime
) -> list[tuple[datetime, str, str]]:
    """Return time, old and new status of each change, oldest first."""
    query = (
        select(AuditEvent.at, AuditEvent.details)
        .where(
            AuditEvent.details[SUBJECT].astext == f"{kind}:{thing.id}",
            AuditEvent.event == EVENTS[kind],
            AuditEvent.status == Outcome.SUCCESS,
            AuditEvent.at > since,
        )
        .order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
        .limit(MAX_CHANGES)
    )
    rows = [
        (row.at, change)
        for row in db.session.execute(query)
        for change in read_changes(row.details)
    ]
    return [
        (at, change.before, change.after)
        for at, change in reversed(rows)
        if change.field == "status"
    ]
