"""What others have done since an admin was last here."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from pipelabs.activity.sentences import Entry, tell
from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Session, now

LIMIT = 10
FIRST_SPAN = timedelta(days=1)
"""What an admin is shown who signs in for the first time."""
MAX_SPAN = timedelta(days=30)
ROUTINE = (
    Event.ADMIN_SESSION_RENEWED,
    Event.ADMIN_SIGNED_IN,
    Event.ADMIN_SIGNED_OUT,
    *(event for event in Event if event.startswith("lease.")),
    *(event for event in Event if event.endswith("_replayed")),
)
"""Events that nobody needs to read every morning."""


def find_last_visit(admin_id: UUID, session_id: UUID | None) -> datetime:
    """Return when the admin was seen in an earlier session, or a day ago."""
    seen = func.max(func.coalesce(Session.seen_at, Session.created_at))
    query = select(seen).where(Session.admin_id == admin_id, Session.id != session_id)
    last: datetime | None = db.session.scalar(query)
    moment = now()
    return max(last, moment - MAX_SPAN) if last else moment - FIRST_SPAN


def list_news(admin_id: UUID, since: datetime) -> list[Entry]:
    """Return the latest events of others since a time, newest first, in sentences."""
    is_other = AuditEvent.admin_id.is_distinct_from(admin_id)
    query = select(AuditEvent).where(
        AuditEvent.at > since, is_other, AuditEvent.event.not_in(ROUTINE)
    )
    newest = (AuditEvent.at.desc(), AuditEvent.id.desc())
    return tell(db.session.scalars(query.order_by(*newest).limit(LIMIT)).all())
