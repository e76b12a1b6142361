"""Rotate the key ring, check every encrypted row, retire a version; online and in batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import LargeBinary, Row, Select, Table, Uuid, bindparam, func, select, update

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import arrays, sent
from pipelabs.core.db import db, run
from pipelabs.core.errors import InvalidInput, InvalidTransition, Undecryptable
from pipelabs.models import ExchangeAPIKey
from pipelabs.models.envelopes import EncryptionContext
from pipelabs.vault.ring import ring_versions, vault

BATCH = 500
TABLE = cast(Table, ExchangeAPIKey.__table__)
COLUMNS = (TABLE.c.id, TABLE.c.client_id, TABLE.c.exchange, TABLE.c.label, TABLE.c.credentials)
REWRAPPED = sent("rewrapped", {"row_id": Uuid(), "envelope": LargeBinary()})
REWRAP = (
    update(TABLE)
    .where(TABLE.c.id == REWRAPPED.c.row_id)
    .values(credentials=REWRAPPED.c.envelope, kek_version=bindparam("newest"))
)
"""It does not change `version`, so a rotation makes no concurrent edit stale."""
UNREADABLE = "{row.id} (client {row.client_id}, {row.exchange}, {row.label}): {reason}"


class Batch(NamedTuple):
    """The result of one batch of a rotation.

    The next batch starts after `last_id`, which is None if there was nothing left to do.
    """

    rewrapped: int
    unreadable: list[str]
    last_id: UUID | None


@dataclass
class RingCheck:
    """Rows per version of the key ring, and every row that can't be decrypted."""

    rows: dict[int, int]
    missing: list[int]
    unreadable: list[str] = field(default_factory=list)

    @property
    def is_healthy(self) -> bool:
        """Return whether every row that was checked can be decrypted."""
        return not (self.missing or self.unreadable)


def rows_per_version() -> dict[int, int]:
    """Return how many rows each version of the key ring wraps, newest version first."""
    column = ExchangeAPIKey.kek_version
    query = select(column, func.count()).where(column.is_not(None)).group_by(column)
    rows = db.session.execute(query.order_by(column.desc()))
    return {int(version): count for version, count in rows if version is not None}


def missing_versions() -> list[int]:
    """Return the versions that rows still need and the key ring no longer has."""
    return [version for version in rows_per_version() if version not in ring_versions()]


def rotate(actor: Actor, after: UUID | None = None) -> Batch:
    """Re-wrap the next batch of rows with the first key of the ring, in the current transaction.

    Ciphertexts do not change, so every row stays readable at any time. A row that can't be
    decrypted is reported and left unchanged.
    """
    newest = vault().versions[0]
    old = _rows().where(TABLE.c.kek_version != newest).order_by(TABLE.c.id).limit(BATCH)
    old = old.where(TABLE.c.id > after) if after else old
    rows = db.session.execute(old.with_for_update(key_share=True)).all()
    rewrapped, unreadable = [], []
    for row in rows:
        try:
            rewrapped.append((row.id, vault().rewrap(row.credentials, _context(row)).blob))
        except Undecryptable as error:
            unreadable.append(UNREADABLE.format(row=row, reason=error.message))
    if rewrapped:
        run(REWRAP, arrays(("row_id", "envelope"), rewrapped) | {"newest": newest})
        facts = {"rows": str(len(rewrapped)), "to": str(newest)}
        trail.record(Event.VAULT_ROTATED, actor, facts=facts)
    return Batch(len(rewrapped), unreadable, rows[-1].id if rows else None)


def count_old() -> int:
    """Return how many rows are not wrapped by the first key of the ring."""
    newest = vault().versions[0]
    return sum(count for version, count in rows_per_version().items() if version != newest)


def retire(version: int, actor: Actor) -> None:
    """Record that a version can be removed from the key ring.

    Raise `InvalidInput` for an unknown version, and `InvalidTransition` for the version that
    encrypts or one that a row still needs.
    """
    if version not in ring_versions():
        raise InvalidInput(f"The key ring has no version {version}.")
    if version == ring_versions()[0]:
        raise InvalidTransition(
            f"Version {version} is in use to encrypt. Put a newer version before it."
        )
    if count := rows_per_version().get(version):
        rows = "1 row still needs" if count == 1 else f"{count} rows still need"
        raise InvalidTransition(f"{rows} version {version}. Run flask keys rotate.")
    trail.record(Event.VAULT_KEY_RETIRED, actor, facts={"version": str(version)})


def check(*, is_ring_only: bool = False) -> RingCheck:
    """Decrypt every encrypted row and report those that can't be decrypted.

    Rows are read in batches. With `is_ring_only` they are only counted.
    """
    result = RingCheck(rows_per_version(), missing_versions())
    for row in () if is_ring_only or not ring_versions() else _read_rows():
        try:
            vault().decrypt(row.credentials, _context(row))
        except Undecryptable as error:
            result.unreadable.append(UNREADABLE.format(row=row, reason=error.message))
    return result


def _rows() -> Select[Any]:
    return select(*COLUMNS).where(TABLE.c.credentials.is_not(None))


def _read_rows() -> Iterator[Row[Any]]:
    yield from db.session.execute(_rows().order_by(TABLE.c.id).execution_options(yield_per=BATCH))


def _context(row: Row[Any]) -> EncryptionContext:
    return EncryptionContext(row.id, row.client_id, row.exchange, "credentials")
