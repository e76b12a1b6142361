"""Delete sessions and API tokens that ended long ago. The audit trail keeps what they did."""

from datetime import timedelta

from sqlalchemy import delete, func, select

from pipelabs.core.db import db
from pipelabs.models import APIToken, Session, now

RETENTION = timedelta(days=90)
BATCH = 1_000


def purge_ended() -> int:
    """Delete a batch of the sessions and tokens that ended 90 days ago; return their number.

    A token ends when it expires or is revoked. A session counts from its expiry, at most 12 hours
    after it began, which is indexed. Rows that another process deletes are skipped.
    """
    purged = 0
    for model, ended_at in (
        (Session, Session.expires_at),
        (APIToken, func.least(APIToken.expires_at, APIToken.revoked_at)),
    ):
        ended = select(model.id).where(ended_at < now() - RETENTION).limit(BATCH)
        # Of a CTE, which is read once: a subquery could be read again, for other rows.
        batch = select(ended.with_for_update(skip_locked=True).cte().c.id)
        gone = db.session.scalars(delete(model).where(model.id.in_(batch)).returning(model.id))
        purged += len(gone.all())
    return purged
