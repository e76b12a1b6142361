"""Idempotency keys: claim a key, store its response, replay it.

The response to a call with secrets is stored encrypted, and its request as a keyed hash.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from pipelabs.core.db import db
from pipelabs.core.errors import IdempotencyKeyReused, InProgress, Undecryptable
from pipelabs.core.keyring import derive
from pipelabs.core.settings import setting
from pipelabs.models import IdempotencyRecord, now

PRIMARY_KEY = list(IdempotencyRecord.__table__.primary_key)
LIFETIME = timedelta(hours=24)
PURGE_BATCH = 100
"""Each claim deletes at most this many expired records, so that no request pays for all."""
LOCK_NOT_AVAILABLE = "55P03"
"""SQLSTATE of a wait longer than `lock_timeout`, which the connection sets to 3 s."""
KEY_LABEL = "pipelabs/idempotency/v1"
NONCE_BYTES = 12
ALTERED = "The stored response was altered. Use a new Idempotency-Key."


class Claim(NamedTuple):
    """The admin, the call, the key, and the fingerprint of the request body."""

    admin_id: UUID
    method: str
    path: str
    key: str
    fingerprint: bytes

    @property
    def context(self) -> bytes:
        """Return what a stored response is encrypted for: it can't be moved to another row."""
        return "\n".join(map(str, self[:4])).encode()


def fingerprint(body: bytes, *, has_secret: bool) -> bytes:
    """Return the SHA-256 of a request body. If it has a secret, it is keyed, so it proves none."""
    if has_secret:
        return hmac.digest(_secret(), body, hashlib.sha256)
    return hashlib.sha256(body).digest()


def encrypt_response(request: Claim, body: bytes) -> bytes:
    """Return the body of a response as it is stored if it has a secret."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(_secret()).encrypt(nonce, body, request.context)


def decrypt_response(request: Claim, stored: bytes) -> bytes:
    """Return the body of a stored response. Raise `Undecryptable` if it was altered."""
    nonce, ciphertext = stored[:NONCE_BYTES], stored[NONCE_BYTES:]
    try:
        return AESGCM(_secret()).decrypt(nonce, ciphertext, request.context)
    except (InvalidTag, ValueError):
        raise Undecryptable(ALTERED) from None


def find_fingerprint(admin_id: UUID, method: str, path: str, key: str) -> bytes | None:
    """Return the fingerprint of the request whose response is stored for the key."""
    return db.session.scalar(
        select(IdempotencyRecord.fingerprint).where(
            tuple_(*PRIMARY_KEY) == tuple_(admin_id, method, path, key),
            IdempotencyRecord.status.is_not(None),
            IdempotencyRecord.created_at > now() - LIFETIME,
        )
    )


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


def _secret() -> bytes:
    return derive(setting("SECRET_KEY").encode(), KEY_LABEL)


def _purge_expired() -> None:
    """Delete a batch of expired records of any admin."""
    expired = select(*PRIMARY_KEY).where(IdempotencyRecord.created_at < now() - LIFETIME)
    # Of a CTE, which is read once: a subquery could be read again, for other rows.
    batch = expired.limit(PURGE_BATCH).with_for_update(skip_locked=True).cte()
    in_batch = tuple_(*PRIMARY_KEY).in_(select(*batch.c))
    db.session.execute(delete(IdempotencyRecord).where(in_batch))
