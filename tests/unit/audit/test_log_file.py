import fcntl
import gzip
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
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
from tests.waiting import wait_for

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
    monkeypatch.setattr(log_file, "DEADLINE_S", 120)
    app = Flask(__name__)
    app.config["AUDIT_LOG_FILE"] = str(path)
    log_file.configure(app.config["AUDIT_LOG_FILE"])
    yield path
    with suppress(OSError):  # what a full disk did not take is tried once more
        log_file.get_file_handler().close()


@sized(200, 10_000)
def test_format_line_gives_six_fields_that_can_be_decoded(size):
    settings(max_examples=size, deadline=None)(given(ROWS)(reads_back))()


def reads_back(row):
    line = line_format.format_line(row)

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


def test_format_line_matches_the_specification():
    assert line_format.format_line(make_row()) == (
        "2026-03-01T12:30:05.007Z | SUCCESS | abc12345 | operator@desk.local |"
        " 00000000-0000-0000-0000-000000000007 |"
        " event=client.created http=201 ip=192.0.2.7 ms=4.2 id=11"
        " email=email@example.com name=Client\\x20Name"
    )


def test_format_line_tells_none_from_a_dash():
    absent = {"actor": None, "client_id": None, "http": None, "address": None, "ms": None}

    line = line_format.format_line(make_row(**absent, details={"name": "-"}))

    assert line.endswith(" | - | - | event=client.created http=- ip=- ms=- id=11 name=\\x2d")


def test_format_line_sorts_facts_by_key():
    details = {"wallet_address": "0x", "email": "a@b.example", "name": "A", "folded": "3"}

    line = line_format.format_line(make_row(details=details))

    assert line.endswith("id=11 email=a@b.example folded=3 name=A wallet_address=0x")


@each(
    ("microsecond", "shown"),
    [(0, "05.000Z"), (999, "05.000Z"), (1_000, "05.001Z"), (999_999, "05.999Z")],
)
def test_format_line_truncates_to_milliseconds(microsecond, shown):
    line = line_format.format_line(make_row(at=datetime(2026, 3, 1, 12, 30, 5, microsecond, UTC)))

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
def test_encode_escapes_special_characters(value, shown):
    assert line_format.encode(value) == shown


@each("character", ["a", "|", "木", "\u202e"])
def test_encode_cuts_values_over_1024_characters(character):
    whole = line_format.encode(character * 1_024)
    cut = line_format.encode(character * 1_025)

    assert decode(whole) == character * 1_024
    assert cut == whole + line_format.CUT_MARK


def test_encode_escapes_the_cut_mark():
    name = f"name{line_format.CUT_MARK}"

    assert decode(line_format.encode(name)) == name


def test_audit_file_is_readable_by_owner_and_group_only(file):
    before = os.umask(0)

    log_file.write(make_row())

    os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o640


def test_write_creates_a_new_file_after_logrotate(file, tmp_path):
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
def test_write_sends_only_client_creation_to_the_file(file, capsys, event, is_filed):
    log_file.write(make_row(event=event))

    line = line_format.format_line(make_row(event=event)) + "\n"
    assert capsys.readouterr().err == line
    assert (file.read_text() if file.exists() else "") == (line if is_filed else "")


def test_write_appends_the_lines_of_a_commit_at_once(file, capsys, monkeypatch):
    sizes, write = [], os.write

    def count(to, text):
        sizes.append(len(text))
        return write(to, text)

    monkeypatch.setattr(os, "write", count)
    rows = [make_row(id=number, actor="木村") for number in range(500)]

    log_file.write(*rows)

    lines = "".join(f"{line_format.format_line(row)}\n" for row in rows)
    assert file.read_text() == capsys.readouterr().err == lines
    assert sizes == [len(lines.encode())]


def test_write_keeps_the_order_of_rows_with_other_events(file, capsys):
    events = ["client.created", "client.created", "client.updated", "client.created"]
    rows = [make_row(id=number, event=event) for number, event in enumerate(events)]

    log_file.write(*rows)

    lines = [f"{line_format.format_line(row)}\n" for row in rows]
    assert capsys.readouterr().err == "".join(lines)
    assert file.read_text() == "".join([*lines[:2], lines[3]])


def test_write_without_rows_writes_nothing(file, capsys):
    log_file.write()

    assert capsys.readouterr().err == ""
    assert not file.exists()


class Parts(list[str]):
    """A stream that remembers what each write had."""

    def write(self, text):
        self.append(text)

    def flush(self):
        pass


def test_console_gets_parts_of_whole_lines_that_a_pipe_takes_at_once(file, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := Parts())
    monkeypatch.setattr(log_file, "PIPE_BUF", 500)
    row = make_row(actor="木村@desk.local")
    long = make_row(details={"name": "x" * 600})
    length = len(f"{line_format.format_line(row)}\n".encode())

    log_file.write(*[row] * 10, long, row)

    assert [part.count("\n") for part in stream] == [500 // length] * (10 // (500 // length)) + [
        1,
        1,
    ]
    assert all(part.endswith("\n") for part in stream)
    assert "x" * 600 in stream[-2]


def test_write_to_a_closed_console_raises_nothing(file, monkeypatch):
    def fail(_):
        raise BrokenPipeError

    stream = Parts()
    monkeypatch.setattr(stream, "write", fail, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("logging.raiseExceptions", False)

    log_file.write(make_row())

    assert len(file.read_text().splitlines()) == 1


def test_audit_file_is_utf_8(file):
    log_file.write(make_row(actor="木村@desk.local"))

    assert "木村".encode() in file.read_bytes()


def test_write_to_an_unwritable_file_reports_it_and_raises_nothing(file, capsys):
    file.mkdir()

    log_file.write(make_row())

    assert line_format.format_line(make_row()) in capsys.readouterr().err
    assert log_file.get_file_handler().is_writable() is False


def test_is_writable_recovers(file):
    file.mkdir()
    log_file.write(make_row())

    file.rmdir()
    log_file.write(make_row())

    assert log_file.get_file_handler().is_writable() is True
    assert len(file.read_text().splitlines()) == 1


def test_an_unwritable_file_is_logged_once(file, caplog):
    file.mkdir()

    log_file.write(make_row())
    log_file.write(make_row())

    said = [record.getMessage() for record in caplog.records if record.name == "pipelabs"]
    assert len(said) == 1
    assert said[0].startswith("audit file not written")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk at hand")
def test_write_to_a_full_disk_reports_it_and_raises_nothing(file, monkeypatch):
    monkeypatch.setattr(log_file.get_file_handler(), "baseFilename", "/dev/full")

    log_file.write(make_row())

    assert log_file.get_file_handler().is_writable() is False


def test_is_writable_detects_a_missing_folder(file, monkeypatch):
    handler = log_file.get_file_handler()
    before = handler.is_writable()

    monkeypatch.setattr(handler, "baseFilename", str(file.parent / "missing" / "audit.log"))

    assert (before, handler.is_writable()) == (True, False)


def test_concurrent_processes_write_whole_lines(tmp_path):
    path = tmp_path / "client_creation.log"
    command = [sys.executable, "-c", WRITERS, str(path)]

    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)

    assert (done.returncode, len(done.stderr)) == (0, 0)
    lines = [line.split(" | ") for line in path.read_text().splitlines()]
    assert sorted(fields[2] for fields in lines) == sorted(
        f"{writer}.{line}" for writer in range(4) for line in range(500)
    )
    assert {len(fields[5]) for fields in lines} == {len(fields[5]) for fields in lines[:11]}


def test_append_truncates_a_partial_line(file, monkeypatch):
    log_file.write(make_row())
    whole, write = file.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda to, text: write(to, text[: len(text) // 2]))

    log_file.write(make_row())

    assert file.read_bytes() == whole
    assert log_file.get_file_handler().is_writable() is False


@pytest.mark.parametrize("is_there", [True, False], ids=["replaced", "moved"])
def test_append_after_waiting_for_replace_writes_to_the_new_file(file, is_there):
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


def test_replace_keeps_the_old_file_on_error(file):
    def full():
        yield "the first"
        raise OSError("No space left on device")

    log_file.write(make_row())
    before = file.read_text()

    with pytest.raises(OSError, match="No space"):
        log_file.get_file_handler().replace(full())

    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.fixture
def hangs(monkeypatch):
    """Let every write hang until `end` is called; `is_set` tells whether one does."""
    is_hanging, may_go_on, write = threading.Event(), threading.Event(), os.write

    def hang(to, text):
        is_hanging.set()
        may_go_on.wait()
        return write(to, text)

    monkeypatch.setattr(log_file, "DEADLINE_S", 0.2)
    monkeypatch.setattr(os, "write", hang)
    yield SimpleNamespace(is_set=is_hanging.is_set, end=may_go_on.set)
    may_go_on.set()


def test_write_to_a_hanging_disk_is_given_up(file, hangs, caplog):
    log_file.write(make_row())
    log_file.write(make_row())

    assert hangs.is_set()
    assert log_file.get_file_handler().is_writable() is False
    said = [record.getMessage() for record in caplog.records if record.name == "pipelabs"]
    assert said == [
        "audit file not written: [Errno 110] The disk of the audit file does not answer"
    ]


def test_write_waits_for_no_lock_and_writes_no_line_late(file, monkeypatch):
    log_file.write(make_row(request_id="before00"))
    monkeypatch.setattr(log_file, "DEADLINE_S", 0.2)
    handler = log_file.get_file_handler()
    with file.open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        log_file.write(make_row(request_id="late0000"))
        log_file.write(make_row(request_id="late0001"))
        assert handler.is_failing
        fcntl.flock(locked, fcntl.LOCK_UN)
    monkeypatch.setattr(log_file, "DEADLINE_S", 120)

    def writes_again():
        log_file.write(make_row(request_id="after000"))
        return not handler.is_failing

    wait_for(writes_again)

    assert [line.split(" | ")[2] for line in file.read_text().splitlines()] == [
        "before00",
        "after000",
    ]
    assert handler.is_writable()


def test_a_call_that_was_given_up_before_its_turn_does_nothing(file, hangs):
    handler = log_file.get_file_handler()
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(handler.append, [f"line {number}"]) for number in range(2)]
        errors = [call.exception(60) for call in calls]

    assert [type(error) for error in errors] == [TimeoutError, TimeoutError]
    hangs.end()
    wait_for(handler.is_writable)

    assert len(file.read_text().splitlines()) == 1


def test_a_check_of_a_hanging_disk_is_given_up(file, monkeypatch):
    may_go_on = threading.Event()
    handler = log_file.get_file_handler()
    monkeypatch.setattr(log_file, "DEADLINE_S", 0.2)
    monkeypatch.setattr(os, "statvfs", lambda _: may_go_on.wait())

    assert handler.is_writable() is False
    assert handler.is_writable() is False
    may_go_on.set()


def make_fifo(path):
    os.mkfifo(path)


def make_device(path):
    path.symlink_to("/dev/null")


def make_link_to_a_fifo(path):
    os.mkfifo(path.parent / "fifo")
    path.symlink_to(path.parent / "fifo")


@pytest.mark.parametrize("make", [make_fifo, make_device, make_link_to_a_fifo, Path.mkdir])
def test_what_is_no_regular_file_is_not_written_to_and_does_not_block(file, caplog, make):
    make(file)

    log_file.write(make_row())

    assert log_file.get_file_handler().is_writable() is False
    assert "audit file not written" in caplog.text


def test_a_fifo_with_a_reader_gets_no_line(file, caplog):
    os.mkfifo(file)
    reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)

    log_file.write(make_row())

    assert os.read(reader, 10) == b""
    os.close(reader)
    assert "audit file not written: [Errno 22] The audit file is not a regular file" in caplog.text


def test_write_works_in_a_forked_process(file):
    log_file.write(make_row(request_id="parent00"))
    if not (child := os.fork()):
        log_file.write(make_row(request_id="child000"))
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    assert [line.split(" | ")[2] for line in file.read_text().splitlines()] == [
        "parent00",
        "child000",
    ]


def ids_of(seen):
    return sorted(seen.ids)


def write_lines(path, *ids):
    text = "".join(f"{line_format.format_line(make_row(id=row_id))}\n" for row_id in ids)
    path.write_text(text)


def test_look_ignores_other_lines_and_a_line_that_is_not_whole(file):
    write_lines(file, 1)
    with file.open("a") as more:
        more.write("something else\n")
        more.write(line_format.format_line(make_row(id=2)))

    seen = log_file.get_file_handler().look(None)

    unfinished = len(line_format.format_line(make_row(id=2)))
    position = seen.next_position(set())
    assert ids_of(seen) == [1]
    assert position
    assert position.offset == file.stat().st_size - unfinished


def test_look_reads_a_file_that_is_being_compressed_as_far_as_it_goes(file):
    write_lines(file, *range(1, 2_000))
    packed = gzip.compress(file.read_bytes())
    Path(f"{file}.1.gz").write_bytes(packed[: len(packed) // 2])
    file.unlink()

    seen = log_file.get_file_handler().look(None)

    assert 0 < len(ids_of(seen)) < 1_999
    assert seen.next_position(set()) is None
    assert seen.next_position({1}) is None


def test_look_reads_a_file_whose_own_name_ends_like_a_gzipped_one(tmp_path):
    path = tmp_path / "audit.gz"
    write_lines(path, 1, 2)

    seen = log_file.AuditFileHandler(str(path)).look(None)

    assert ids_of(seen) == [1, 2]
    assert seen.next_position({2}) is not None


def test_look_does_not_wait_for_a_fifo_beside_the_file(file):
    write_lines(file, 1)
    os.mkfifo(f"{file}.1")

    assert ids_of(log_file.get_file_handler().look(None)) == [1]


def test_look_returns_no_ids_without_a_file(file):
    seen = log_file.get_file_handler().look(None)

    assert (seen.ids, seen.is_lost) == (None, False)
    assert seen.next_position(set()) is None


def test_look_that_hangs_is_given_up(file, monkeypatch):
    write_lines(file, 1)
    may_go_on = threading.Event()
    monkeypatch.setattr(log_file, "READ_DEADLINE_S", 0.2)
    monkeypatch.setattr(os, "fdopen", lambda *_: may_go_on.wait())

    with pytest.raises(TimeoutError, match="does not answer"):
        log_file.get_file_handler().look(None)
    may_go_on.set()
