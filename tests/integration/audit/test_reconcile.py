import gzip
import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from pipelabs.audit import log_file, reconciliation
from pipelabs.audit.log_reader import Position
from pipelabs.core.db import db, unit_of_work
from pipelabs.models import AuditEvent, AuditFileMark
from tests.factories import QUICK_CLIENT, make_body

pytestmark = pytest.mark.own_database


@pytest.fixture
def file(app):
    path = Path(app.config["AUDIT_LOG_FILE"])
    for rotated in path.parent.glob(f"{path.name}*"):
        rotated.unlink()
    return path


@pytest.fixture
def written(client, operator, file, monkeypatch, until_final):
    """Return the lines of a success, a duplicate and an invalid attempt, long settled."""
    monkeypatch.setattr(reconciliation, "SETTLE", timedelta(0))
    for body in (make_body(), make_body(), make_body(name="")):
        client.post(QUICK_CLIENT, json=body, headers=operator)
    lines = file.read_text().splitlines()
    assert len(lines) == 3
    until_final()
    return lines


@pytest.fixture
def create(client, operator, file, until_final):
    """Return a function that attempts to create a client, and returns the line when settled."""

    def attempt():
        client.post(QUICK_CLIENT, json={}, headers=operator)
        until_final()
        return file.read_text().splitlines()[-1]

    return attempt


def run_reconcile(app):
    with app.app_context(), unit_of_work():
        return reconciliation.reconcile(app.config["INSTANCE"])


def rebuild(app):
    with app.app_context(), unit_of_work():
        return reconciliation.rebuild(app.config["INSTANCE"])


def test_reconcile_leaves_a_complete_file_unchanged(app, file, written):
    assert (run_reconcile(app), run_reconcile(app)) == (0, 0)

    assert file.read_text().splitlines() == written


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_reconcile_appends_a_lost_line_once(app, file, written, lost):
    remaining = [line for line in written if line != written[lost]]
    file.write_text("".join(f"{line}\n" for line in remaining))

    assert (run_reconcile(app), run_reconcile(app)) == (1, 0)

    assert file.read_text().splitlines() == [*remaining, written[lost]]


@pytest.mark.parametrize("gzipped", [False, True], ids=["moved", "gzipped"])
def test_reconcile_searches_rotated_files(app, file, written, gzipped):
    rotated = file.rename(f"{file}.1")
    file.touch()
    if gzipped:
        Path(f"{rotated}.gz").write_bytes(gzip.compress(rotated.read_bytes()))
        rotated.unlink()

    assert run_reconcile(app) == 0

    assert file.read_text() == ""


def test_reconcile_does_not_restore_deleted_rotated_lines(app, file, written, create):
    run_reconcile(app)
    rotated = file.rename(f"{file}.1")
    create()
    run_reconcile(app)
    rotated.unlink()

    assert run_reconcile(app) == 0
    file.write_text("")
    assert run_reconcile(app) == 1


def empty_file(file):
    file.write_text("")


def truncate(file):
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:1]))


def rewrite(file):
    file.write_text("x" * 10_000 + "\n")


def move_away(file):
    file.rename(file.parent.parent / "elsewhere")


def move_away_and_begin_anew(file):
    file.rename(file.parent.parent / "elsewhere")
    file.write_text("a line of something else\n")


def replace_by_an_old_copy(file):
    first = file.read_text().splitlines(keepends=True)[0]
    file.unlink()
    file.write_text(first)


@pytest.mark.parametrize(
    "change",
    [
        empty_file,
        truncate,
        rewrite,
        move_away,
        move_away_and_begin_anew,
        replace_by_an_old_copy,
        Path.unlink,
    ],
)
def test_reconcile_notices_a_changed_file_and_restores_its_lines(
    app, file, written, caplog, change
):
    assert (run_reconcile(app), run_reconcile(app)) == (0, 0)
    warned = "the audit file was moved, emptied or truncated"
    assert warned not in caplog.text

    change(file)
    appended = run_reconcile(app)

    assert appended == (2 if change in {truncate, replace_by_an_old_copy} else 3)
    assert warned in caplog.text
    assert [line for line in file.read_text().splitlines() if line in written] == written
    assert run_reconcile(app) == 0


@pytest.mark.parametrize("suffix", ["1", "1.gz", "2026.bak"])
def test_reconcile_after_a_rotation_restores_nothing(app, file, written, create, caplog, suffix):
    run_reconcile(app)
    rotated = Path(f"{file}.{suffix}")
    if rotated.suffix == ".gz":
        rotated.write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    else:
        file.rename(rotated)
    line = create()

    assert (run_reconcile(app), run_reconcile(app)) == (0, 0)

    assert file.read_text().splitlines() == [line]
    assert "moved, emptied" not in caplog.text


def test_reconcile_after_copytruncate_restores_nothing(app, file, written, create):
    run_reconcile(app)
    Path(f"{file}.1").write_bytes(file.read_bytes())
    os.truncate(file, 0)
    line = create()

    assert run_reconcile(app) == 0

    assert file.read_text().splitlines() == [line]


def test_reconcile_remembers_what_it_has_read(app, file, written, create, rows):
    def look_again():
        [mark] = rows(AuditFileMark)
        position = Position(mark.inode, mark.byte_offset, mark.tail)
        return log_file.get_file_handler().look(position).ids

    run_reconcile(app)
    unchanged = look_again()
    line = create()
    [new] = look_again()

    assert unchanged == set()
    assert f" id={new} " in line


def test_reconcile_reads_lines_of_unsettled_rows_again(
    app, file, written, create, monkeypatch, until_final
):
    run_reconcile(app)
    monkeypatch.setattr(reconciliation, "SETTLE", timedelta(hours=1))
    lines = [create(), create()]
    run_reconcile(app)
    # Both are in a file that is rotated before they are settled, and more are in the new one.
    rotated = file.rename(f"{file}.1")
    lines.append(create())
    run_reconcile(app)
    until_final()
    monkeypatch.setattr(reconciliation, "SETTLE", timedelta(0))

    assert (run_reconcile(app), run_reconcile(app)) == (0, 0)

    assert rotated.read_text().splitlines() == [*written, *lines[:2]]
    assert file.read_text().splitlines() == lines[2:]


def test_reconcile_goes_on_from_a_mark_without_a_place(app, file, written, create):
    run_reconcile(app)
    with app.app_context(), unit_of_work():
        db.session.execute(
            update(AuditFileMark).values(inode=None, byte_offset=None, tail=None, file_xid=None)
        )
    line = create()
    file.write_text("".join(f"{line}\n" for line in written))

    assert (run_reconcile(app), run_reconcile(app)) == (1, 0)

    assert file.read_text().splitlines() == [*written, line]


def test_reconcile_after_a_rebuild_restores_nothing(app, file, written, caplog):
    run_reconcile(app)
    rebuild(app)

    assert (run_reconcile(app), run_reconcile(app)) == (0, 0)

    assert "moved, emptied" not in caplog.text
    assert file.read_text().splitlines() == written


def test_reconcile_restores_a_deleted_file(app, file, written):
    run_reconcile(app)
    file.unlink()

    assert run_reconcile(app) == 3

    assert file.read_text().splitlines() == written


def test_reconcile_skips_young_rows(app, file, written, monkeypatch):
    monkeypatch.setattr(reconciliation, "SETTLE", timedelta(hours=1))
    file.write_text("")
    first = run_reconcile(app)

    monkeypatch.setattr(reconciliation, "SETTLE", timedelta(0))

    assert (first, run_reconcile(app)) == (0, 3)


def test_reconcile_ignores_other_instances_and_events(app, file, written, client):
    client.post("/api/auth/login", json={"email": "x@y.test", "password": "z"})
    with app.app_context(), unit_of_work():
        count = reconciliation.reconcile("another-instance")

    assert (count, run_reconcile(app)) == (0, 0)
    assert file.read_text().splitlines() == written


def test_reconcile_runs_in_one_process_at_a_time(app, file, written):
    file.write_text("")
    name = f"pipelabs.reconcile.{app.config['INSTANCE']}"
    with app.app_context(), db.engine.connect() as other:
        other.execute(reconciliation.LOCK, {"name": name})
        during = run_reconcile(app)

    assert (during, run_reconcile(app)) == (0, 3)


def test_reconcile_retries_after_a_write_error(app, file, written):
    file.unlink()
    file.mkdir()
    with pytest.raises(OSError, match="directory"):
        run_reconcile(app)
    file.rmdir()

    assert run_reconcile(app) == 3


def test_rebuild_writes_all_lines_in_the_order_of_ids(app, file, written, rows):
    file.write_text("what was never said\n")

    assert rebuild(app) == 3

    assert file.read_text().splitlines() == written
    ids = [row.id for row in rows(AuditEvent) if row.event.startswith("client.create")]
    assert [f" id={row_id} " in line for row_id, line in zip(ids, written, strict=True)] == [
        True
    ] * 3


def test_lines_after_a_rebuild_go_to_the_new_file(app, file, written, client, operator):
    rebuild(app)

    client.post(QUICK_CLIENT, json={}, headers=operator)

    assert len(file.read_text().splitlines()) == 4
