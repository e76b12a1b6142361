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


def test_reconcile_does_not_restore_deleted_rotated_lines(app, file, written):
    run_reconcile(app)
    file.write_text("")

    assert run_reconcile(app) == 0


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
