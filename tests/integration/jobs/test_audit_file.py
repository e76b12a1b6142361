import logging
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelabs.audit import log_file, reconciliation
from pipelabs.core.db import unit_of_work
from pipelabs.jobs import audit_file
from tests.factories import QUICK_CLIENT, make_body


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    monkeypatch.setattr(reconciliation, "SETTLE", timedelta(0))


@pytest.fixture
def file(app, client, operator, until_final):
    path = Path(app.config["AUDIT_LOG_FILE"])
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    [line] = path.read_text().splitlines()[-1:]
    path.write_text("")
    until_final()
    return path, line


@pytest.mark.own_database
def test_reconcile_appends_and_logs_a_lost_line(app, file, caplog):
    path, line = file

    audit_file.reconcile(app)

    assert path.read_text().splitlines() == [line]
    assert "the audit file lacked lines" in caplog.text


@pytest.mark.own_database
def test_reconcile_logs_an_error(app, file, caplog):
    path, _ = file
    path.unlink()
    path.mkdir()

    with caplog.at_level(logging.WARNING):
        audit_file.reconcile(app)
    path.rmdir()

    assert "the audit file was not reconciled: IsADirectoryError" in caplog.text


@pytest.mark.own_database
def test_reconcile_logs_nothing_for_a_complete_file(app, file, caplog):
    path, line = file
    path.write_text(f"{line}\n")

    audit_file.reconcile(app)

    assert path.read_text().splitlines() == [line]
    assert caplog.text == ""


@pytest.mark.own_database
def test_reconcile_clears_an_earlier_write_failure(app, file, client):
    path, _ = file
    path.unlink()
    path.mkdir()
    client.post(QUICK_CLIENT, json={})
    path.rmdir()
    with app.app_context(), unit_of_work():
        before = log_file.get_file_handler().is_writable()
        reconciliation.reconcile(app.config["INSTANCE"])

    audit_file.reconcile(app)

    assert (before, log_file.get_file_handler().is_writable()) == (False, True)


@pytest.mark.own_database
def test_start_runs_at_once_in_a_daemon_thread(app, file, monkeypatch):
    path, line = file
    slept, is_asleep = [], threading.Event()

    def sleep(seconds):
        slept.append(seconds)
        is_asleep.set()
        threading.Event().wait()

    monkeypatch.setattr(audit_file, "time", SimpleNamespace(sleep=sleep))

    thread = audit_file.start(app)

    assert is_asleep.wait(120)
    assert slept == [60]
    assert path.read_text().splitlines() == [line]
    assert thread.daemon


@pytest.mark.own_database
@pytest.mark.parametrize(
    ("word", "output"), [("reconcile", "1 lines appended"), ("rebuild", "1 lines written")]
)
def test_audit_commands_write_missing_lines(app, file, word, output):
    path, line = file

    result = app.test_cli_runner().invoke(args=["audit", word])

    assert (result.exit_code, result.output.strip()) == (0, output)
    assert path.read_text().splitlines() == [line]
