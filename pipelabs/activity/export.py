"""Export events as CSV or JSON Lines, with their number and a hash."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from sqlalchemy import func, select, tuple_

from pipelabs.activity.schemas import Format
from pipelabs.activity.sentences import Entry, tell
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.queries import NEWEST_FIRST, build_conditions
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput
from pipelabs.models import AuditEvent, now

BATCH = 1_000
MAX_ROWS = {Format.CSV: 50_000, Format.JSON_LINES: 50_000, Format.PRINT: 2_000}
"""A file of this size takes some seconds."""
IN_MEMORY = 4 * 1024 * 1024
"""Bytes of an export that are not written to a disk."""
COLUMNS = (
    "id",
    "at",
    "event",
    "status",
    "actor",
    "sentence",
    "subject",
    "client_id",
    "exchange",
    "request_id",
    "address",
    "http",
    "ms",
    "instance",
    "proof",
    "details",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula."""
FILTERS = ("since", "until", "period", "zone", "admin", "client_id", "subject", "exchange", "event")
MORE_FILTERS = ("status", "request_id", "address")


@dataclass(frozen=True, slots=True)
class Export:
    """An export: its number of events, the SHA-256 of its lines, and the file at its beginning.

    The hash is that of all lines but the last, which tells it. Entries are those of a print view.
    """

    rows: int
    sha256: str
    at: datetime
    file: IO[bytes]
    entries: Sequence[Entry]


def export_events(filters: Mapping[str, Any], kind: Format, actor: Actor) -> Export:
    """Export the events that match the filters, newest first, and record that.

    A print view gets the entries, and the hash is that of the same events as JSON Lines. Raise
    `InvalidInput` for more events than `MAX_ROWS`.
    """
    _reject_too_many(filters, MAX_ROWS[kind])
    with ExitStack() as stack:
        file = _Hashed()
        stack.callback(file.content.close)
        entries = _write(filters, kind, file)
        sha256 = file.digest.hexdigest()
        _write_manifest(file, kind, sha256)
        facts = {"rows": str(file.rows), "format": kind.value, "sha256": sha256}
        trail.record(Event.AUDIT_EXPORTED, actor, facts=_filter_facts(filters) | facts)
        file.content.seek(0)
        # The response closes it.
        stack.pop_all()
    return Export(file.rows, sha256, now(), file.content, entries)


class _Hashed:
    """A file whose lines are hashed."""

    def __init__(self) -> None:
        self.content: IO[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with the response
        self.digest = hashlib.sha256()
        self.rows = 0

    def write(self, line: str) -> None:
        data = line.encode()
        self.digest.update(data)
        self.content.write(data)


def _write(filters: Mapping[str, Any], kind: Format, file: _Hashed) -> list[Entry]:
    """Write the events. Return the entries of a print view."""
    kept: list[Entry] = []
    if kind is Format.CSV:
        file.write(_csv_line(COLUMNS))
    for batch in _read(filters):
        entries = tell(batch)
        write = _write_csv if kind is Format.CSV else _write_json_lines
        write(file, entries)
        file.rows += len(entries)
        if kind is Format.PRINT:
            kept += entries
        else:
            db.session.expunge_all()
    return kept


def _read(filters: Mapping[str, Any]) -> Iterator[Sequence[AuditEvent]]:
    """Yield the events in batches. Each begins where the last one has ended."""
    query = NEWEST_FIRST.where(*build_conditions(filters)).limit(BATCH)
    batch = db.session.scalars(query).all()
    while batch:
        last = (batch[-1].at, batch[-1].id)
        yield batch
        following = query.where(tuple_(AuditEvent.at, AuditEvent.id) < tuple_(*last))
        batch = db.session.scalars(following).all()


def _reject_too_many(filters: Mapping[str, Any], limit: int) -> None:
    some = select(AuditEvent.id).where(*build_conditions(filters)).limit(limit + 1).subquery()
    if (db.session.scalar(select(func.count()).select_from(some)) or 0) > limit:
        sentence = f"More than {limit:,} events match. Choose a shorter period."
        raise InvalidInput(sentence, fields={"since": [sentence]})


def _write_manifest(file: _Hashed, kind: Format, sha256: str) -> None:
    """Write the last line: the number of events, and the hash of the lines before it."""
    if kind is Format.CSV:
        row = ["manifest", f"{file.rows} events", f"sha256 of the lines above: {sha256}"]
        file.write(_csv_line(row))
    else:
        file.write(_json_line({"manifest": {"events": file.rows, "sha256": sha256}}))


def _write_csv(file: _Hashed, entries: Sequence[Entry]) -> None:
    for entry in entries:
        row = _row(entry)
        row["details"] = json.dumps(row["details"], ensure_ascii=False, sort_keys=True)
        file.write(_csv_line([_guard(row[name]) for name in COLUMNS]))


def _write_json_lines(file: _Hashed, entries: Sequence[Entry]) -> None:
    for entry in entries:
        file.write(_json_line(_row(entry)))


def _row(entry: Entry) -> dict[str, Any]:
    event = entry.event
    own = {name: getattr(event, name, None) for name in COLUMNS}
    facts = {name: event.details.get(name) for name in ("subject", "exchange")}
    return (
        own
        | facts
        | {
            "id": str(event.id),
            "at": event.at.astimezone(UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "client_id": event.client_id and str(event.client_id),
            "sentence": entry.text,
        }
    )


def _csv_line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()


def _guard(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _json_line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def _filter_facts(filters: Mapping[str, Any]) -> dict[str, str]:
    """Return the filters as facts. Their names are not those of what the event is about."""
    return {
        f"filter_{name}": str(filters[name])
        for name in (*FILTERS, *MORE_FILTERS)
        if filters.get(name)
    }
