"""The rules of idempotency keys: claim, keep, answer again."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from pipelabs.core.db import db
from pipelabs.core.errors import IdempotencyKeyReused, InProgress
from pipelabs.models import IdempotencyRecord, now

KEY = list(IdempotencyRecord.__table__.primary_key)
LIFE = timedelta(hours=24)
PURGED_AT_ONCE = 100
"""Expired records dropped by each claim, so that none of them pays for all."""
LOCK_TIMEOUT = "55P03"
"""PostgreSQL's state for a wait longer than `lock_timeout`, which the connection sets to 3 s."""


class Claim(NamedTuple):
    """Whose key it is, for which call, and the SHA-256 of the body that came with it."""

    admin_id: UUID
    method: str
    path: str
    key: str
    fingerprint: bytes


def claim(wanted: Claim) -> IdempotencyRecord | None:
    """Claim the key in the running transaction, or return what was answered to it before.

    A twin in flight is waited for. Raise `IdempotencyKeyReused` if the body is another, and
    `InProgress` if the twin is not done in time. A claim that is rolled back never was.
    """
    _purge()
    values = wanted._asdict() | {"headers": {}, "body": b"", "created_at": now()}
    statement = insert(IdempotencyRecord).values(values).on_conflict_do_nothing()
    try:
        made = db.session.scalar(statement.returning(IdempotencyRecord.key))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_TIMEOUT:
            raise
        raise InProgress("The first request with this Idempotency-Key still runs.") from None
    if made is not None:
        return None
    record = db.session.get_one(IdempotencyRecord, wanted[:4])
    if record.fingerprint != wanted.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another body.")
    return record


def store_response(wanted: Claim, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Keep what is answered to a claimed key: in the act's transaction, or after its roll-back."""
    answer = {"status": status, "headers": dict(headers), "body": body}
    values = wanted._asdict() | answer | {"created_at": now()}
    statement = insert(IdempotencyRecord).values(values)
    unanswered = IdempotencyRecord.status.is_(None)
    db.session.execute(
        statement.on_conflict_do_update(index_elements=KEY, set_=answer, where=unanswered)
    )


def _purge() -> None:
    """Drop some of the records that are older than their life, whoever's they are."""
    expired = select(*KEY).where(IdempotencyRecord.created_at < now() - LIFE)
    some = expired.limit(PURGED_AT_ONCE).with_for_update(skip_locked=True)
    db.session.execute(delete(IdempotencyRecord).where(tuple_(*KEY).in_(some)))
