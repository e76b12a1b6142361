"""Find keys whose rows were changed outside of this service."""

from uuid import UUID

from sqlalchemy import func, select

from pipelabs.core.db import db
from pipelabs.models import Proof
from pipelabs.vault.signing import COLUMNS, TABLE, check_row

BATCH = 5_000
"""Rows that are checked each minute, in about 0.1 s. Rows that are read are checked anyway."""


def find_altered(turn: int) -> list[UUID]:
    """Check a batch of keys in the order of ids, and return those that were altered.

    `turn` counts up from check to check, so that all batches come in turn. `records.lock_key`
    quarantines the keys, and then their signature is valid. It ends leases, so call it in a
    transaction for each key: the consistent lock order of leases prevents deadlocks only within one
    statement.
    """
    count = db.session.scalar(select(func.count()).select_from(TABLE)) or 0
    place = turn % max(-(-count // BATCH), 1)
    query = select(*COLUMNS).order_by(TABLE.c.id).offset(place * BATCH).limit(BATCH)
    return [row.id for row in db.session.execute(query) if check_row(row) is Proof.ALTERED]
