import gzip
from datetime import timedelta
from pathlib import Path

import pytest

from pipelabs.audit import reconciliation
from pipelabs.core.db import db, unit_of_work
from pipelabs.models import AuditEvent
from tests.factories import QUICK_CLIENT, make_body

pytestmark = pytest.mark.own_database


@pytest.fixture
def file(app):
    path = Path(app.config["AUDIT_LOG_FILE"])
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()
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


def run_reconcile(app):
    with app.app_context(), unit_of_work():
        return reconciliation.reconcile(app.config["INSTANCE"])


def rebuild(app):
    with app.app_context(), unit_of_work():
        return reconciliation.rebuild(app.config["INSTANCE"])


def test_a_file_that_is_whole_is_left_as_it_is(app, file, written):
    assert (run_reconcile(app), run_reconcile(app)) == (0, 0)

    assert file.read_text().splitlines() == written


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_line_that_was_lost_is_appended_once_and_as_it_was(app, file, written, lost):
    kept = [one for one in written if one != written[lost]]
    file.write_text("".join(f"{one}\n" for one in kept))

    assert (run_reconcile(app), run_reconcile(app)) == (1, 0)

    assert file.read_text().splitlines() == [*kept, written[lost]]


@pytest.mark.parametrize("packed", [False, True], ids=["moved", "packed"])
def test_lines_that_logrotate_took_along_are_not_written_again(app, file, written, packed):
    rotated = file.rename(f"{file}.1")
    file.touch()
    if packed:
        Path(f"{rotated}.gz").write_bytes(gzip.compress(rotated.read_bytes()))
        rotated.unlink()

    assert run_reconcile(app) == 0

    assert file.read_text() == ""


def test_what_rotation_deleted_later_stays_deleted(app, file, written):
    run_reconcile(app)
    file.write_text("")

    assert run_reconcile(app) == 0


def test_a_file_that_was_deleted_comes_back_whole(app, file, written):
    run_reconcile(app)
    file.unlink()

    assert run_reconcile(app) == 3

    assert file.read_text().splitlines() == written


def test_a_row_that_is_young_is_left_to_its_worker(app, file, written, monkeypatch):
    monkeypatch.setattr(reconciliation, "SETTLE", timedelta(hours=1))
    file.write_text("")
    first = run_reconcile(app)

    monkeypatch.setattr(reconciliation, "SETTLE", timedelta(0))

    assert (first, run_reconcile(app)) == (0, 3)


def test_rows_of_other_instances_and_events_are_not_for_this_file(app, file, written, client):
    client.post("/api/auth/login", json={"email": "x@y.test", "password": "z"})
    with app.app_context(), unit_of_work():
        found = reconciliation.reconcile("another-instance")

    assert (found, run_reconcile(app)) == (0, 0)
    assert file.read_text().splitlines() == written


def test_one_process_at_a_time_reconciles(app, file, written):
    file.write_text("")
    name = f"pipelabs.reconcile.{app.config['INSTANCE']}"
    with app.app_context(), db.engine.connect() as other:
        other.execute(reconciliation.LOCK, {"name": name})
        during = run_reconcile(app)

    assert (during, run_reconcile(app)) == (0, 3)


def test_a_file_that_cannot_be_written_is_tried_again(app, file, written):
    file.unlink()
    file.mkdir()
    with pytest.raises(OSError, match="directory"):
        run_reconcile(app)
    file.rmdir()

    assert run_reconcile(app) == 3


def test_rebuild_writes_every_line_as_it_was_in_the_order_of_ids(app, file, written, rows):
    file.write_text("what was never said\n")

    assert rebuild(app) == 3

    assert file.read_text().splitlines() == written
    ids = [row.id for row in rows(AuditEvent) if row.event.startswith("client.create")]
    assert [f" id={one} " in line for one, line in zip(ids, written, strict=True)] == [True] * 3


def test_after_a_rebuild_lines_go_to_the_new_file(app, file, written, client, operator):
    rebuild(app)

    client.post(QUICK_CLIENT, json={}, headers=operator)

    assert len(file.read_text().splitlines()) == 4
