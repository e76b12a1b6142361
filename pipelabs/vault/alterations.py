"""Find keys whose rows were changed outside of this service."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from pipelabs.core.db import db
from pipelabs.models import Proof
from pipelabs.vault.signing import COLUMNS, TABLE, check_row

BATCH = 5_000
"""Rows that a worker checks each minute, in about 0.1 s. Rows that are read are checked anyway."""


class Sweep(NamedTuple):
    """The ids of the keys that were altered, and where the next sweep begins."""

    altered: list[UUID]
    next: UUID | None


def find_altered(after: UUID | None = None) -> Sweep:
    """Check the next batch of keys in the order of ids, and return those that were altered.

    `records.lock_key` quarantines them, and then their signature is valid. It ends leases, so call
    it in a transaction for each key: the consistent lock order of leases prevents deadlocks only
    within one statement. After the last batch the next sweep begins at the first key.
    """
    query = select(*COLUMNS).order_by(TABLE.c.id).limit(BATCH)
    rows = db.session.execute(query.where(TABLE.c.id > after) if after else query).all()
    altered = [row.id for row in rows if check_row(row) is Proof.ALTERED]
    return Sweep(altered, rows[-1].id if len(rows) == BATCH else None)
