"""Find keys whose rows were changed outside of this service, and quarantine them."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.models import Proof
from pipelabs.vault.records import lock_key
from pipelabs.vault.signing import COLUMNS, TABLE, check_row

BATCH = 5_000
"""Rows that a worker checks each minute, in about 0.1 s. Rows that are read are checked anyway."""


class Sweep(NamedTuple):
    """The ids of the keys that were quarantined, and where the next sweep begins."""

    quarantined: list[UUID]
    next: UUID | None


def quarantine_altered_keys(actor: Actor, after: UUID | None = None) -> Sweep:
    """Check the next batch of keys in the order of ids, and quarantine those that were altered.

    Each one is recorded once, because its quarantine is signed. After the last batch the next sweep
    begins at the first key.
    """
    query = select(*COLUMNS).order_by(TABLE.c.id).limit(BATCH)
    rows = db.session.execute(query.where(TABLE.c.id > after) if after else query).all()
    altered = [row.id for row in rows if check_row(row) is Proof.ALTERED]
    for key_id in altered:
        lock_key(key_id, actor)
    return Sweep(altered, rows[-1].id if len(rows) == BATCH else None)
