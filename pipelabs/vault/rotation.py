"""The vault's ring at work on all rows: rotate, retire, check; online, in batches, resumable."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import LargeBinary, Row, Select, Table, Uuid, bindparam, func, select, update

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import db, run
from pipelabs.core.errors import InvalidInput, InvalidTransition, Undecryptable
from pipelabs.models import ExchangeAPIKey
from pipelabs.models.envelopes import EncryptionContext
from pipelabs.vault.ring import ring_versions, vault

BATCH = 500
TABLE = cast(Table, ExchangeAPIKey.__table__)
COLUMNS = (TABLE.c.id, TABLE.c.client_id, TABLE.c.exchange, TABLE.c.label, TABLE.c.credentials)
FRESH = unnest_table("fresh", {"row_id": Uuid(), "envelope": LargeBinary()})
REWRAP = (
    update(TABLE)
    .where(TABLE.c.id == FRESH.c.row_id)
    .values(credentials=FRESH.c.envelope, kek_version=bindparam("newest"))
)
"""Leaves `version` alone: who edits a key meanwhile loses nothing."""
UNREADABLE = "{row.id} (client {row.client_id}, {row.exchange}, {row.label}): {reason}"


class Batch(NamedTuple):
    """What one batch of a rotation did, and where the next begins; None where none is left."""

    rewrapped: int
    unreadable: list[str]
    last_id: UUID | None


@dataclass
class Findings:
    """How many rows each version of the ring has, and every row that does not open."""

    rows: dict[int, int]
    missing: list[int]
    unreadable: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Return whether every row opens."""
        return not (self.missing or self.unreadable)


def rows_per_version() -> dict[int, int]:
    """Return ring version → how many rows it wraps, the newest first."""
    version = ExchangeAPIKey.kek_version
    counted = select(version, func.count()).where(version.is_not(None)).group_by(version)
    rows = db.session.execute(counted.order_by(version.desc()))
    return {int(found): count for found, count in rows if found is not None}


def missing_versions() -> list[int]:
    """Return the versions that rows still need and the ring no longer has."""
    return [version for version in rows_per_version() if version not in ring_versions()]


def rotate(actor: Actor, after: UUID | None = None) -> Batch:
    """Re-wrap the next batch of rows under the ring's first key, in the running transaction.

    Ciphertexts stay as they are, so readers find every row open at every moment. A row that does
    not open is named and left.
    """
    newest = vault().versions[0]
    old = _rows().where(TABLE.c.kek_version != newest).order_by(TABLE.c.id).limit(BATCH)
    old = old.where(TABLE.c.id > after) if after else old
    rows = db.session.execute(old.with_for_update(key_share=True)).all()
    fresh, unreadable = [], []
    for row in rows:
        try:
            fresh.append((row.id, vault().rewrap(row.credentials, _context(row)).blob))
        except Undecryptable as error:
            unreadable.append(UNREADABLE.format(row=row, reason=error.message))
    if fresh:
        run(REWRAP, column_arrays(("row_id", "envelope"), fresh) | {"newest": newest})
        facts = {"rows": str(len(fresh)), "to": str(newest)}
        trail.record(Event.VAULT_ROTATED, actor, facts=facts)
    return Batch(len(fresh), unreadable, rows[-1].id if rows else None)


def count_old() -> int:
    """Return how many rows are not under the ring's first key."""
    newest = vault().versions[0]
    return sum(count for version, count in rows_per_version().items() if version != newest)


def retire(version: int, actor: Actor) -> None:
    """Record that a version may leave the ring; raise `InvalidTransition` while a row needs it."""
    if version not in ring_versions():
        raise InvalidInput(f"The ring has no version {version}.")
    if version == ring_versions()[0]:
        raise InvalidTransition(f"Version {version} encrypts; put a newer one before it.")
    if count := rows_per_version().get(version):
        raise InvalidTransition(
            f"{count} rows still need version {version}; run flask keys rotate."
        )
    trail.record(Event.VAULT_KEY_RETIRED, actor, facts={"version": str(version)})


def check(*, is_ring_only: bool = False) -> Findings:
    """Open every sealed row and name those that do not open; a batch is in memory at a time.

    With `is_ring_only` nothing is opened, only counted.
    """
    found = Findings(rows_per_version(), missing_versions())
    for row in () if is_ring_only or not ring_versions() else _all():
        try:
            vault().decrypt(row.credentials, _context(row))
        except Undecryptable as error:
            found.unreadable.append(UNREADABLE.format(row=row, reason=error.message))
    return found


def _rows() -> Select[Any]:
    return select(*COLUMNS).where(TABLE.c.credentials.is_not(None))


def _all() -> Iterator[Row[Any]]:
    yield from db.session.execute(_rows().order_by(TABLE.c.id).execution_options(yield_per=BATCH))


def _context(row: Row[Any]) -> EncryptionContext:
    return EncryptionContext(row.id, row.client_id, row.exchange, "credentials")
