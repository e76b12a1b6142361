"""Rotate the key ring, check every encrypted row, retire a version; online and in batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Row,
    Select,
    Uuid,
    bindparam,
    case,
    func,
    or_,
    select,
    union,
    update,
)

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import db, read_in_batches, run
from pipelabs.core.errors import InvalidInput, InvalidTransition, Undecryptable
from pipelabs.models import ExchangeAPIKey, Proof
from pipelabs.models.envelopes import EncryptionContext
from pipelabs.vault.records import lock_key
from pipelabs.vault.ring import ring_versions, vault
from pipelabs.vault.signing import COLUMNS, TABLE, check_row, mac_version, sign_row

BATCH = 500
# What wraps a row is read from its ciphertext: the column is only a copy, for an index.
KEK_VERSION: ColumnElement[int] = func.get_byte(
    TABLE.c.credentials, 1, type_=BigInteger
) * 256 + func.get_byte(TABLE.c.credentials, 2, type_=BigInteger)
MAC_VERSION = mac_version(TABLE.c.mac)
REWRAPPED = unnest_table(
    "rewrapped", {"row_id": Uuid(), "envelope": LargeBinary(), "new_mac": LargeBinary()}
)
REWRAP = (
    update(TABLE)
    .where(TABLE.c.id == REWRAPPED.c.row_id)
    .values(
        credentials=REWRAPPED.c.envelope,
        kek_version=case((REWRAPPED.c.envelope.is_not(None), bindparam("newest", type_=Integer))),
        mac=REWRAPPED.c.new_mac,
    )
)
"""It does not change `version`, so a rotation makes no concurrent edit stale."""
REPORT = "{row.id} (client {row.client_id}, {row.exchange}, {row.label}): {reason}"
NOT_SIGNED_BY_RING = "The key ring lacks the version that signed it."
ALTERED = "It was changed outside of Pipe Labs. It is quarantined until two owners accept it."


class Batch(NamedTuple):
    """The result of one batch of a rotation.

    The next batch starts after `last_id`, which is None if there was nothing left to do.
    """

    rewrapped: int
    unreadable: list[str]
    last_id: UUID | None


@dataclass
class RingCheck:
    """Rows per version of the key ring, and every row that can't be decrypted or was altered."""

    rows: dict[int, int]
    total: int
    missing: list[int]
    unreadable: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)

    @property
    def is_healthy(self) -> bool:
        """Return whether every row that was checked can be decrypted and is as it was written."""
        return not (self.missing or self.unreadable or self.altered)


def rows_per_version() -> dict[int, int]:
    """Return how many rows each version of the key ring wraps or signs, newest version first."""
    rows = db.session.execute(select_rows_per_version())
    return {int(version): count for version, count in rows}


def select_rows_per_version() -> Select[Any]:
    """Return the query for the versions that rows need, and how many do, newest version first."""
    needs = union(
        select(TABLE.c.id, KEK_VERSION.label("version")).where(TABLE.c.credentials.is_not(None)),
        select(TABLE.c.id, MAC_VERSION).where(TABLE.c.mac.is_not(None)),
    ).subquery()
    query = select(needs.c.version, func.count()).group_by(needs.c.version)
    return query.order_by(needs.c.version.desc())


def missing_versions() -> list[int]:
    """Return the versions that rows still need and the key ring no longer has."""
    return _not_in_ring(rows_per_version())


def missing_kek_versions() -> list[int]:
    """Return the versions that still wrap rows and that the key ring no longer has.

    It reads only an index, so `/ready` can ask every second.
    """
    column = ExchangeAPIKey.kek_version
    query = select(column).where(column.is_not(None)).distinct().order_by(column.desc())
    return _not_in_ring(filter(None, db.session.scalars(query)))


def rotate(actor: Actor, after: UUID | None = None) -> Batch:
    """Re-wrap and re-sign the next batch of rows with the ring's first key, in this transaction.

    Ciphertexts do not change, so every row stays readable at any time. A row that can't be
    decrypted is reported and left unchanged. A row that was altered is quarantined, not signed.
    """
    newest = vault().versions[0]
    old = _rows().where(_is_old(newest)).order_by(TABLE.c.id).limit(BATCH)
    old = old.where(TABLE.c.id > after) if after else old
    rows = db.session.execute(old.with_for_update(key_share=True)).all()
    rewrapped, unreadable, altered = [], [], []
    for row in rows:
        try:
            is_altered = _is_altered(row)
            mac = row.mac if is_altered else sign_row(row)
            rewrapped.append((row.id, _rewrap(row), mac))
        except Undecryptable as error:
            unreadable.append(REPORT.format(row=row, reason=error.message))
        else:
            altered += [row.id] if is_altered else []
    if rewrapped:
        names = ("row_id", "envelope", "new_mac")
        run(REWRAP, column_arrays(names, rewrapped) | {"newest": newest})
        for key_id in altered:
            lock_key(key_id, actor)
        facts = {"rows": str(len(rewrapped)), "version": str(newest)}
        trail.record(Event.VAULT_ROTATED, actor, facts=facts)
    return Batch(len(rewrapped), unreadable, rows[-1].id if rows else None)


def count_old() -> int:
    """Return how many rows are not wrapped and signed by the first key of the ring."""
    query = select(func.count()).select_from(TABLE).where(_is_old(vault().versions[0]))
    return db.session.scalar(query) or 0


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
    """Decrypt every encrypted row and check every signature. Report what fails.

    Rows are read in batches. With `is_ring_only` they are only counted.
    """
    rows = rows_per_version()
    total = db.session.scalar(select(func.count()).select_from(TABLE)) or 0
    result = RingCheck(rows, total, _not_in_ring(rows))
    for row in () if is_ring_only or not ring_versions() else _read_rows():
        try:
            if row.altered_at or _is_altered(row):
                result.altered.append(REPORT.format(row=row, reason=ALTERED))
            if row.credentials:
                vault().decrypt(row.credentials, EncryptionContext.of_key(row))
        except Undecryptable as error:
            result.unreadable.append(REPORT.format(row=row, reason=error.message))
    return result


def _not_in_ring(versions: Iterable[int]) -> list[int]:
    return [version for version in versions if version not in ring_versions()]


def _is_old(newest: int) -> ColumnElement[bool]:
    return or_(KEK_VERSION.not_in([newest]), MAC_VERSION.not_in([newest]))


def _rewrap(row: Row[Any]) -> bytes | None:
    return (
        vault().rewrap(row.credentials, EncryptionContext.of_key(row)).blob
        if row.credentials
        else None
    )


def _is_altered(row: Row[Any]) -> bool:
    """Raise `Undecryptable` if that can't be told."""
    proof = check_row(row)
    if proof is Proof.UNKNOWN:
        raise Undecryptable(NOT_SIGNED_BY_RING)
    return proof is Proof.ALTERED


def _rows() -> Select[Any]:
    return select(*COLUMNS, TABLE.c.credentials)


def _read_rows() -> Iterator[Row[Any]]:
    return read_in_batches(_rows(), [TABLE.c.id], BATCH)
