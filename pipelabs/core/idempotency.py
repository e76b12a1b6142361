"""Idempotency keys: claim a key, store its response, replay it.

The response to a call with secrets is stored encrypted, and its request as a keyed hash.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Executable, Integer, Table, bindparam, delete, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from pipelabs.core.db import Prepared, db, run_prepared
from pipelabs.core.errors import IdempotencyKeyReused, InProgress, Undecryptable
from pipelabs.core.keyring import derive
from pipelabs.core.settings import setting
from pipelabs.models import IdempotencyRecord, now

TABLE = cast(Table, IdempotencyRecord.__table__)
PRIMARY_KEY = list(TABLE.primary_key)
RESPONSE = ("status", "headers", "body")
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
    request = {"admin_id": admin_id, "method": method, "path": path, "key": key}
    rows = run_prepared(FIND_FINGERPRINT, request | {"since": now() - LIFETIME})
    return rows[0].fingerprint if rows else None


def claim(request: Claim) -> IdempotencyRecord | None:
    """Claim the key in the current transaction, or return the record of its first response.

    A concurrent request with the same key is waited for. Raise `IdempotencyKeyReused` if the key
    was used with another body, and `InProgress` if the wait is too long. Rolling back the
    transaction releases the claim.
    """
    run_prepared(PURGE_EXPIRED, {"since": now() - LIFETIME, "limit": PURGE_BATCH})
    values = request._asdict() | {"headers": {}, "body": b"", "created_at": now()}
    try:
        is_claimed = bool(run_prepared(CLAIM, values))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        raise InProgress(
            "The first request with this Idempotency-Key is still running. Try again later."
        ) from None
    if is_claimed:
        return None
    record = db.session.get_one(IdempotencyRecord, request[:4])
    if record.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another body.")
    return record


def store_response(request: Claim, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Store the response to a claimed key, in the same transaction or after its rollback."""
    response = {"status": status, "headers": dict(headers), "body": body}
    run_prepared(STORE_RESPONSE, request._asdict() | response | {"created_at": now()})


def find_record(request: Claim) -> IdempotencyRecord | None:
    """Return what is stored for a key."""
    return db.session.get(IdempotencyRecord, request[:4])


def lock_record(request: Claim) -> IdempotencyRecord | None:
    """Return what is stored for a key as it is now, locked until the transaction ends."""
    return db.session.get(
        IdempotencyRecord, request[:4], with_for_update=True, populate_existing=True
    )


def erase_response(request: Claim) -> None:
    """Erase the body of a stored response. The key stays claimed."""
    db.session.get_one(IdempotencyRecord, request[:4]).body = b""


def erase_responses(method: str, path: str, *, until: datetime) -> int:
    """Erase the bodies that were stored for a call in the hour before `until`; return how many.

    It is called each minute. Older records are deleted after 24 hours.
    """
    columns = TABLE.c
    expired = columns.created_at.between(until - timedelta(hours=1), until)
    statement = update(TABLE).values(body=b"").where(expired, columns.body != b"")
    call = (columns.method == method, columns.path == path)
    return len(db.session.execute(statement.where(*call).returning(columns.key)).all())


def _secret() -> bytes:
    return derive(setting("SECRET_KEY").encode(), KEY_LABEL)


def _insert(*columns: str) -> Any:
    return insert(TABLE).values({name: bindparam(name) for name in (*Claim._fields, *columns)})


def _build_store() -> Executable:
    """Return the statement that stores a response, unless one is stored already."""
    statement = _insert(*RESPONSE, "created_at")
    new = {name: statement.excluded[name] for name in RESPONSE}
    stored: Executable = statement.on_conflict_do_update(
        index_elements=PRIMARY_KEY, set_=new, where=TABLE.c.status.is_(None)
    )
    return stored


def _build_purge() -> Executable:
    """Return the statement that deletes a batch of expired records of any admin."""
    expired = select(*PRIMARY_KEY).where(TABLE.c.created_at < bindparam("since"))
    # Of a CTE, which is read once: a subquery could be read again, for other rows.
    batch = expired.limit(bindparam("limit", type_=Integer)).with_for_update(skip_locked=True).cte()
    return delete(TABLE).where(tuple_(*PRIMARY_KEY).in_(select(*batch.c)))


FIND_FINGERPRINT = Prepared(
    "find_fingerprint",
    select(TABLE.c.fingerprint).where(
        *(column == bindparam(column.key) for column in PRIMARY_KEY),
        TABLE.c.status.is_not(None),
        TABLE.c.created_at > bindparam("since"),
    ),
    reads=True,
)
CLAIM = Prepared(
    "claim_idempotency_key",
    _insert("headers", "body", "created_at").on_conflict_do_nothing().returning(TABLE.c.key),
)
STORE_RESPONSE = Prepared("store_response", _build_store())
PURGE_EXPIRED = Prepared("purge_responses", _build_purge())
