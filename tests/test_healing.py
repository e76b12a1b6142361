import logging
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelabs import audit_file, healing
from pipelabs.extensions import unit_of_work
from pipelabs.services import audit
from tests.make import QUICK_CLIENT, make_body


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    monkeypatch.setattr(audit, "SETTLE", timedelta(0))


@pytest.fixture
def file(app, client, operator, until_final):
    path = Path(app.config["AUDIT_LOG_FILE"])
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    [line] = path.read_text().splitlines()[-1:]
    path.write_text("")
    until_final()
    return path, line


@pytest.mark.own_database
def test_a_lost_line_is_healed_and_said(app, file, caplog):
    path, line = file

    healing.heal(app)

    assert path.read_text().splitlines() == [line]
    assert "the audit file lacked lines" in caplog.text


@pytest.mark.own_database
def test_a_fault_is_said_and_ends_nothing(app, file, caplog):
    path, _ = file
    path.unlink()
    path.mkdir()

    with caplog.at_level(logging.WARNING):
        healing.heal(app)
    path.rmdir()

    assert "the audit file was not reconciled: IsADirectoryError" in caplog.text


@pytest.mark.own_database
def test_a_file_that_lacks_nothing_is_not_spoken_of(app, file, caplog):
    path, line = file
    path.write_text(f"{line}\n")

    healing.heal(app)

    assert path.read_text().splitlines() == [line]
    assert caplog.text == ""


@pytest.mark.own_database
def test_a_process_that_writes_nothing_itself_learns_that_the_file_is_well(app, file, client):
    path, _ = file
    path.unlink()
    path.mkdir()
    client.post(QUICK_CLIENT, json={})
    path.rmdir()
    with app.app_context(), unit_of_work():
        before = audit_file.file_handler().is_writable()
        audit.reconcile(app.config["INSTANCE"])

    healing.heal(app)

    assert (before, audit_file.file_handler().is_writable()) == (False, True)


@pytest.mark.own_database
def test_it_begins_at_once_and_does_not_keep_the_process(app, file, monkeypatch):
    path, line = file
    slept, is_asleep = [], threading.Event()

    def sleep(seconds):
        slept.append(seconds)
        is_asleep.set()
        threading.Event().wait()

    monkeypatch.setattr(healing, "time", SimpleNamespace(sleep=sleep))

    thread = healing.start(app)

    assert is_asleep.wait(5)
    assert slept == [60]
    assert path.read_text().splitlines() == [line]
    assert thread.daemon


@pytest.mark.own_database
@pytest.mark.parametrize(
    ("word", "said"), [("reconcile", "1 lines appended"), ("rebuild", "1 lines written")]
)
def test_the_commands_write_what_is_missing(app, file, word, said):
    path, line = file

    result = app.test_cli_runner().invoke(args=["audit", word])

    assert (result.exit_code, result.output.strip()) == (0, said)
    assert path.read_text().splitlines() == [line]
