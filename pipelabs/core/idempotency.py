"""Idempotency keys: claim a key, store its response, replay it."""

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

PRIMARY_KEY = list(IdempotencyRecord.__table__.primary_key)
LIFETIME = timedelta(hours=24)
PURGE_BATCH = 100
"""Each claim deletes at most this many expired records, so that no request pays for all."""
LOCK_NOT_AVAILABLE = "55P03"
"""SQLSTATE of a wait longer than `lock_timeout`, which the connection sets to 3 s."""


class Claim(NamedTuple):
    """The admin, the call, the key, and the SHA-256 of the request body."""

    admin_id: UUID
    method: str
    path: str
    key: str
    fingerprint: bytes


def claim(request: Claim) -> IdempotencyRecord | None:
    """Claim the key in the current transaction, or return the record of its first response.

    A concurrent request with the same key is waited for. Raise `IdempotencyKeyReused` if the key
    was used with another body, and `InProgress` if the wait is too long. Rolling back the
    transaction releases the claim.
    """
    _purge_expired()
    values = request._asdict() | {"headers": {}, "body": b"", "created_at": now()}
    statement = insert(IdempotencyRecord).values(values).on_conflict_do_nothing()
    try:
        inserted = db.session.scalar(statement.returning(IdempotencyRecord.key))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        raise InProgress(
            "The first request with this Idempotency-Key is still running. Try again later."
        ) from None
    if inserted is not None:
        return None
    record = db.session.get_one(IdempotencyRecord, request[:4])
    if record.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another body.")
    return record


def store_response(request: Claim, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Store the response to a claimed key, in the same transaction or after its rollback."""
    response = {"status": status, "headers": dict(headers), "body": body}
    values = request._asdict() | response | {"created_at": now()}
    statement = insert(IdempotencyRecord).values(values)
    is_unanswered = IdempotencyRecord.status.is_(None)
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=PRIMARY_KEY, set_=response, where=is_unanswered
        )
    )


def _purge_expired() -> None:
    """Delete a batch of expired records of any admin."""
    expired = select(*PRIMARY_KEY).where(IdempotencyRecord.created_at < now() - LIFETIME)
    batch = expired.limit(PURGE_BATCH).with_for_update(skip_locked=True)
    db.session.execute(delete(IdempotencyRecord).where(tuple_(*PRIMARY_KEY).in_(batch)))
