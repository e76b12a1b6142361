"""Exports of the audit trail."""

import csv
import hashlib
import io
import json
from datetime import UTC, datetime

import pytest

from pipelabs.activity import export
from pipelabs.activity.export import export_events
from pipelabs.activity.schemas import Format
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.trail import Attempt
from pipelabs.core.errors import InvalidInput
from pipelabs.models import AuditEvent, Outcome
from tests.each import each
from tests.factories import make_actor, make_client

VERA = make_actor(name="vera@desk.local")
FORMULAS = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)")


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        yield


def record(count=1, **facts):
    for _ in range(count):
        trail.record(Event.CLIENT_UPDATED, VERA, facts=facts)


def exported(kind, **filters):
    result = export_events({"zone": "UTC"} | filters, kind, VERA)
    with result.file:
        return result, result.file.read().decode()


def test_csv_has_a_row_for_each_event_and_a_manifest():
    make_client(name="Alder Peak")
    record(2)

    result, text = exported(Format.CSV)

    head, *rows, manifest = list(csv.reader(io.StringIO(text)))
    assert head == list(export.COLUMNS)
    assert [row[head.index("event")] for row in rows] == [*["client.updated"] * 2, "client.created"]
    assert rows[2][head.index("sentence")] == "admin created Alder Peak"
    assert json.loads(rows[2][head.index("details")])["name"] == "Alder Peak"
    assert manifest == ["manifest", "3 events", f"sha256 of the lines above: {result.sha256}"]
    above = text[: text.index("manifest")]
    assert hashlib.sha256(above.encode()).hexdigest() == result.sha256


def test_json_lines_has_an_object_for_each_event_and_a_manifest():
    record(2, changed="name", from_name="a", to_name="b")

    result, text = exported(Format.JSON_LINES)

    *lines, manifest, _ = text.split("\n")
    first = json.loads(lines[0])
    assert (len(lines), result.rows) == (2, 2)
    assert first["sentence"] == "vera changed a client, name a → b"
    assert first["details"]["to_name"] == "b"
    assert (first["status"], first["proof"]) == ("SUCCESS", "valid")
    assert datetime.fromisoformat(first["at"]).tzinfo is UTC
    above = "".join(f"{line}\n" for line in lines).encode()
    digest = hashlib.sha256(above).hexdigest()
    assert json.loads(manifest) == {"manifest": {"events": 2, "sha256": digest}}


def test_csv_contains_no_formula():
    for text in FORMULAS:
        actor = make_actor(name=text)
        denial = Attempt(Event.CLIENT_CREATE_DENIED, Outcome.INVALID, 400, {})
        trail.record_denied(denial, actor)

    _, text = exported(Format.CSV)

    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert {f"'{formula}" for formula in FORMULAS} <= set(cells)


def test_an_export_is_an_event_with_its_filters_rows_and_hash(rows):
    record(3)
    since = datetime(2026, 1, 1, tzinfo=UTC)

    result, _ = exported(Format.CSV, since=since, event=Event.CLIENT_UPDATED)

    [row] = rows(AuditEvent, event="audit.exported")
    assert row.details == {
        "rows": "3",
        "format": "csv",
        "sha256": result.sha256,
        "filter_since": "2026-01-01 00:00:00+00:00",
        "filter_event": "client.updated",
        "filter_zone": "UTC",
        "subject": f"admin:{VERA.admin_id}",
    }


def test_an_export_reads_in_batches(monkeypatch):
    monkeypatch.setattr(export, "BATCH", 2)
    record(5)

    result, text = exported(Format.JSON_LINES)

    ids = [json.loads(line).get("id") for line in text.splitlines()[:-1]]
    assert (result.rows, len(set(ids))) == (5, 5)
    assert ids == sorted(ids, key=int, reverse=True)


@each("kind", list(Format))
def test_an_export_of_too_many_events_is_rejected(monkeypatch, kind, rows):
    monkeypatch.setitem(export.MAX_ROWS, kind, 2)
    record(3)

    with pytest.raises(InvalidInput, match="More than 2 events match"):
        exported(kind)

    assert rows(AuditEvent, event="audit.exported") == []


def test_a_print_view_has_the_entries_and_the_hash_of_json_lines():
    record(2)

    printed, _ = exported(Format.PRINT, event=Event.CLIENT_UPDATED)
    lines, _ = exported(Format.JSON_LINES, event=Event.CLIENT_UPDATED)

    assert [entry.text for entry in printed.entries] == ["vera changed a client"] * 2
    assert (lines.sha256, lines.entries) == (printed.sha256, [])
