"""Verify the MACs of audit rows: what something else has written or changed is found."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from secrets import randbelow
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Text, cast, func, select, text

from pipelabs.audit.trail import SIGNED, TABLE, check_mac, get_secrets
from pipelabs.core.db import db, release
from pipelabs.models import AuditEvent, Proof

BATCH = 50_000
SAMPLE = 1_000
"""Rows of each kind that a worker verifies every minute, in about 0.1 s."""
SETTINGS = text(
    "SET LOCAL statement_timeout = 0; SET LOCAL timezone = UTC; SET LOCAL datestyle = ISO"
)
"""An export is in the time zone of the connection. A range without an index may take long."""
COLUMNS = (TABLE.c.id, func.encode(TABLE.c.mac, "hex"), *(TABLE.c[name] for name in SIGNED))
SHOWN = ("mac_key", "at", "event", "request_id")
ESCAPE = re.compile(r"\\(.)")
ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
"""https://www.postgresql.org/docs/current/sql-copy.html, text format."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows to verify: ids, both included, and times, `until` excluded. None is no limit."""

    from_id: int | None = None
    to_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions of a query for the rows."""
        limits = (
            (self.from_id, TABLE.c.id.__ge__),
            (self.to_id, TABLE.c.id.__le__),
            (self.since, TABLE.c.at.__ge__),
            (self.until, TABLE.c.at.__lt__),
        )
        return [compare(value) for value, compare in limits if value is not None]


class Finding(NamedTuple):
    """A row whose MAC is wrong, or whose key is not here."""

    id: int
    proof: Proof
    mac_key: str
    at: str
    event: str
    request_id: str


@dataclass
class Batch:
    """How many rows were verified, and those that are not valid.

    It is the file that PostgreSQL exports the rows to, one line at a time: an export takes a tenth
    of the time of a query, and nothing but the findings stays in memory.
    """

    verified: int = 0
    last_id: int = 0
    findings: list[Finding] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=get_secrets, repr=False)

    def write(self, line: bytes) -> None:
        """Verify the row of a line."""
        row_id, mac, *texts = line[:-1].decode().split("\t")
        values: dict[str, Any] = dict(zip(SIGNED, texts, strict=True))
        if "\\" in "".join(texts):
            values = {name: _unescape(value) for name, value in values.items()}
        values["details"] = json.loads(values["details"])
        values["at"] = _as_python_writes(values["at"])
        values["http"] = values["http"] and int(values["http"])
        values["ms"] = values["ms"] and float(values["ms"])
        self.verified, self.last_id = self.verified + 1, int(row_id)
        proof = check_mac(values, bytes.fromhex(mac), self.secrets)
        if proof is not Proof.VALID:
            shown = (values[name] for name in SHOWN)
            self.findings.append(Finding(self.last_id, proof, *shown))


def count_rows(rows: Range) -> int:
    """Return how many rows there are to verify."""
    db.session.execute(SETTINGS)
    query = select(func.count()).select_from(TABLE).where(*rows.conditions())
    return db.session.scalar(query) or 0


def verify(rows: Range) -> Iterator[Batch]:
    """Verify rows in the order of ids, and yield a result for each batch; then their copies.

    The MAC of a row that was copied whole is right, so copies are looked for by `uid`. Each batch
    has a transaction of its own: a long one would hold up the audit file. It can't run where
    the time-out of `core.connections` is installed, which supports no exports.
    """
    batch, found = Batch(verified=BATCH), set[int]()
    while batch.verified == BATCH:
        query = select(*COLUMNS).where(TABLE.c.id > batch.last_id, *rows.conditions())
        batch = Batch()
        _export(query.order_by(TABLE.c.id).limit(BATCH), batch)
        release()
        found.update(finding.id for finding in batch.findings)
        yield batch
    yield Batch(findings=[copy for copy in _find_copies(rows) if copy.id not in found])


def find_in_sample() -> list[int]:
    """Return the ids of invalid rows among the newest and as many from a random place."""
    return [row.id for row in judge_sample() if row.proof is not Proof.VALID]


def judge_sample() -> list[AuditEvent]:
    """Return the newest rows and as many from a random place, each with its proof, by id."""
    newest_first = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(SAMPLE)
    newest = db.session.scalars(newest_first).all()
    start = randbelow(newest[0].id) if newest else 0
    sample = select(AuditEvent).where(AuditEvent.id > start).order_by(AuditEvent.id).limit(SAMPLE)
    return sorted({*newest, *db.session.scalars(sample)}, key=lambda row: row.id)


def _find_copies(rows: Range) -> list[Finding]:
    """Return the rows that have the `uid` of an earlier one."""
    db.session.execute(SETTINGS)
    place = func.row_number().over(partition_by=TABLE.c.uid, order_by=TABLE.c.id)
    shown = [cast(TABLE.c[name], Text).label(name) for name in SHOWN]
    ranked = select(TABLE.c.id, *shown, place.label("place")).where(*rows.conditions()).subquery()
    copies = select(ranked).where(ranked.c.place > 1).order_by(ranked.c.id)
    found = [
        Finding(row.id, Proof.ALTERED, *(getattr(row, name) for name in SHOWN))
        for row in db.session.execute(copies)
    ]
    release()
    return found


def _export(query: Any, file: Batch) -> None:
    db.session.execute(SETTINGS)
    compiled = query.compile(db.engine, compile_kwargs={"literal_binds": True})
    cursor = db.session.connection().connection.cursor()
    cursor.copy_expert(f"COPY ({compiled}) TO STDOUT", file)


def _unescape(value: str) -> str | None:
    if value == r"\N":
        return None
    return ESCAPE.sub(lambda escape: ESCAPED.get(escape[1], escape[1]), value)


def _as_python_writes(moment: str) -> str:
    """Return `2026-11-22 22:46:00.012+00` as `isoformat` does, which signed it."""
    seconds, _, fraction = moment.removesuffix("+00").replace(" ", "T").partition(".")
    return f"{seconds}.{fraction:0<6}+00:00" if fraction else f"{seconds}+00:00"
