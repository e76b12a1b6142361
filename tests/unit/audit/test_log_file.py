import fcntl
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelabs.audit import line_format, log_file
from pipelabs.models import Outcome
from tests.each import each
from tests.paths import ROOT
from tests.sizes import sized

ESCAPE = re.compile(r"\\(?:([\\rnt])|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
LETTERS = {"\\": "\\", "r": "\r", "n": "\n", "t": "\t"}
FORGED = "x | SUCCESS\n2026-01-01T00:00:00.000Z | SUCCESS | a | b | c | event=client.created"
TEXTS = st.none() | st.just(FORGED) | st.text(st.characters(exclude_categories=()), max_size=20)
ROWS = st.fixed_dictionaries(
    {
        "at": st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
        "status": st.sampled_from(Outcome),
        "request_id": TEXTS,
        "actor": TEXTS,
        "client_id": st.none() | st.uuids(),
        "event": TEXTS,
        "http": st.none() | st.integers(),
        "address": TEXTS,
        "ms": st.none() | st.floats(0, 1e9).map(lambda ms: round(ms, 1)),
        "id": st.integers(1),
        "details": st.dictionaries(TEXTS.map(lambda text: f"fact {text}"), TEXTS, max_size=3),
    }
)
WRITERS = """
import os, sys
from pipelabs.audit import log_file
from tests.unit.audit.test_log_file import make_row

log_file.logger.setLevel("INFO")
log_file.logger.addHandler(log_file.AuditFileHandler(sys.argv[1]))
large = make_row(details=dict.fromkeys("abc", "\\U0001f600" * 1_024))
writers = []
for writer in range(4):
    if not (number := os.fork()):
        for line in range(500):
            row = make_row() if line % 10 else large
            log_file.write(row | {"request_id": f"{writer}.{line}"})
        os._exit(0)
    writers.append(number)
sys.exit(sum(os.waitpid(number, 0)[1] for number in writers))
"""
"""Every tenth line is of 12 KiB, more than a buffer of Python's holds."""


def make_row(**changes):
    return {
        "at": datetime(2026, 3, 1, 12, 30, 5, 7_000, UTC),
        "status": Outcome.SUCCESS,
        "request_id": "abc12345",
        "actor": "operator@desk.local",
        "client_id": UUID(int=7),
        "event": "client.created",
        "http": 201,
        "address": "192.0.2.7",
        "ms": 4.2,
        "id": 11,
        "details": {"name": "Client Name", "email": "email@example.com"},
    } | changes


def decode(shown):
    if shown == "-":
        return None
    assert re.fullmatch(rf"(?:{ESCAPE.pattern}|[^\\])*", shown), "cut"
    return ESCAPE.sub(
        lambda found: LETTERS.get(found[1]) or chr(int(max(found.groups("")), 16)), shown
    )


def text_of(value):
    return None if value is None else str(value)


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "client_creation.log"
    monkeypatch.setattr(log_file.logger, "handlers", [])
    app = Flask(__name__)
    app.config["AUDIT_LOG_FILE"] = str(path)
    log_file.configure(app.config["AUDIT_LOG_FILE"])
    yield path
    with suppress(OSError):  # what a full disk did not take is tried once more
        log_file.file_handler().close()


@sized(200, 10_000)
def test_a_line_is_one_line_of_six_fields_that_can_be_read_back(size):
    settings(max_examples=size, deadline=None)(given(ROWS)(reads_back))()


def reads_back(row):
    line = line_format.line(row)

    assert line.splitlines() == [line]
    _, *fields, details = line.split(" | ")
    named = ("status", "request_id", "actor", "client_id")
    assert list(map(decode, fields)) == [text_of(row[name]) for name in named]
    pairs = [pair.split("=") for pair in details.split(" ")]
    facts = {decode(key): decode(value) for key, value in pairs}
    known = {"event": row["event"], "http": row["http"], "ip": row["address"], "ms": row["ms"]}
    assert facts == {
        key: text_of(value) for key, value in (known | {"id": row["id"]} | row["details"]).items()
    }


def test_a_line_is_exactly_as_decided():
    assert line_format.line(make_row()) == (
        "2026-03-01T12:30:05.007Z | SUCCESS | abc12345 | operator@desk.local |"
        " 00000000-0000-0000-0000-000000000007 |"
        " event=client.created http=201 ip=192.0.2.7 ms=4.2 id=11"
        " email=email@example.com name=Client\\x20Name"
    )


def test_absent_values_are_a_dash_and_a_dash_is_not():
    absent = {"actor": None, "client_id": None, "http": None, "address": None, "ms": None}

    line = line_format.line(make_row(**absent, details={"name": "-"}))

    assert line.endswith(" | - | - | event=client.created http=- ip=- ms=- id=11 name=\\x2d")


def test_facts_stand_in_the_order_of_their_keys():
    details = {"wallet_address": "0x", "email": "a@b.example", "name": "A", "folded": "3"}

    line = line_format.line(make_row(details=details))

    assert line.endswith("id=11 email=a@b.example folded=3 name=A wallet_address=0x")


@each(
    ("microsecond", "shown"),
    [(0, "05.000Z"), (999, "05.000Z"), (1_000, "05.001Z"), (999_999, "05.999Z")],
)
def test_a_time_has_milliseconds_and_is_never_rounded_up(microsecond, shown):
    line = line_format.line(make_row(at=datetime(2026, 3, 1, 12, 30, 5, microsecond, UTC)))

    assert line.startswith(f"2026-03-01T12:30:{shown} | ")


@each(
    ("value", "shown"),
    [
        ("a\\b", "a\\\\b"),
        ("a|b", "a\\x7cb"),
        ("a b", "a\\x20b"),
        ("a=b", "a\\x3db"),
        ("\r\n\t", "\\r\\n\\t"),
        ("\0\x1b\x7f\x85", "\\u0000\\u001b\\u007f\\u0085"),
        ("\u202e\u200b\ufeff", "\\u202e\\u200b\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("木村 & Ø", "木村\\x20&\\x20Ø"),
        ("", ""),
    ],
)
def test_values_are_escaped_exactly_as_decided(value, shown):
    assert line_format.encode(value) == shown


@each("character", ["a", "|", "木", "\u202e"])
def test_a_value_over_1024_characters_is_cut_with_a_mark(character):
    whole = line_format.encode(character * 1_024)
    cut = line_format.encode(character * 1_025)

    assert decode(whole) == character * 1_024
    assert cut == whole + line_format.CUT_MARK


def test_a_value_that_ends_in_the_mark_is_not_taken_for_a_cut_one():
    name = f"name{line_format.CUT_MARK}"

    assert decode(line_format.encode(name)) == name


def test_a_new_file_is_read_by_its_owner_and_group_alone(file):
    before = os.umask(0)

    log_file.write(make_row())

    os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_file_that_logrotate_moved_away_is_made_anew(file, tmp_path):
    moved = tmp_path / "client_creation.log.1"
    log_file.write(make_row(request_id="before01"))

    file.rename(moved)
    log_file.write(make_row(request_id="after001"))

    assert "before01" in moved.read_text()
    assert len(moved.read_text().splitlines()) == len(file.read_text().splitlines()) == 1
    assert "after001" in file.read_text()


@pytest.mark.parametrize(
    ("event", "is_filed"),
    [
        ("client.created", True),
        ("client.create_denied", True),
        ("client.create_replayed", True),
        ("client.updated", False),
        ("admin.signed_in", False),
        ("request.denied", False),
    ],
)
def test_the_console_has_every_line_and_the_file_has_client_creation(file, capsys, event, is_filed):
    log_file.write(make_row(event=event))

    line = line_format.line(make_row(event=event)) + "\n"
    assert capsys.readouterr().err == line
    assert (file.read_text() if file.exists() else "") == (line if is_filed else "")


def test_lines_are_utf_8(file):
    log_file.write(make_row(actor="木村@desk.local"))

    assert "木村".encode() in file.read_bytes()


def test_a_file_that_cannot_be_written_refuses_nothing_and_is_told(file, capsys):
    file.mkdir()

    log_file.write(make_row())

    assert line_format.line(make_row()) in capsys.readouterr().err
    assert log_file.file_handler().is_writable() is False


def test_a_file_that_can_be_written_again_is_told(file):
    file.mkdir()
    log_file.write(make_row())

    file.rmdir()
    log_file.write(make_row())

    assert log_file.file_handler().is_writable() is True
    assert len(file.read_text().splitlines()) == 1


def test_a_file_that_stays_unwritable_is_said_once_in_the_log(file, caplog):
    file.mkdir()

    log_file.write(make_row())
    log_file.write(make_row())

    said = [record.getMessage() for record in caplog.records if record.name == "pipelabs"]
    assert len(said) == 1
    assert said[0].startswith("audit file not written")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk at hand")
def test_a_full_disk_refuses_nothing_and_is_told(file, monkeypatch):
    monkeypatch.setattr(log_file.file_handler(), "baseFilename", "/dev/full")

    log_file.write(make_row())

    assert log_file.file_handler().is_writable() is False


def test_a_folder_that_is_missing_is_told_before_the_first_line(file, monkeypatch):
    handler = log_file.file_handler()
    before = handler.is_writable()

    monkeypatch.setattr(handler, "baseFilename", str(file.parent / "missing" / "audit.log"))

    assert (before, handler.is_writable()) == (True, False)


def test_four_processes_tear_no_line_of_each_other(tmp_path):
    path = tmp_path / "client_creation.log"
    command = [sys.executable, "-c", WRITERS, str(path)]

    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)

    assert (done.returncode, len(done.stderr)) == (0, 0)
    lines = [line.split(" | ") for line in path.read_text().splitlines()]
    assert sorted(fields[2] for fields in lines) == sorted(
        f"{writer}.{line}" for writer in range(4) for line in range(500)
    )
    assert {len(fields[5]) for fields in lines} == {len(fields[5]) for fields in lines[:11]}


def test_half_a_line_is_cut_back(file, monkeypatch):
    log_file.write(make_row())
    whole, write = file.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda to, text: write(to, text[: len(text) // 2]))

    log_file.write(make_row())

    assert file.read_bytes() == whole
    assert log_file.file_handler().is_writable() is False


@pytest.mark.parametrize("is_there", [True, False], ids=["replaced", "moved"])
def test_a_line_that_waited_goes_to_the_file_of_then(file, is_there):
    log_file.write(make_row())
    with file.open() as locked, ThreadPoolExecutor(1) as pool:
        fcntl.flock(locked, fcntl.LOCK_EX)
        writing = pool.submit(log_file.write, make_row(request_id="waited00"))
        with suppress(TimeoutError):
            writing.result(0.3)
        file.rename(f"{file}.1")
        if is_there:
            file.touch()
        fcntl.flock(locked, fcntl.LOCK_UN)
        writing.result(5)

    assert [line.split(" | ")[2] for line in file.read_text().splitlines()] == ["waited00"]


def test_a_file_that_cannot_be_written_anew_stays_as_it_is(file):
    def full():
        yield "the first"
        raise OSError("No space left on device")

    log_file.write(make_row())
    before = file.read_text()

    with pytest.raises(OSError, match="No space"):
        log_file.file_handler().replace(full())

    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]


def test_lines_that_are_none_have_no_id(file):
    file.write_text("something else\n")

    assert log_file.file_handler().ids_since(None) == set()
