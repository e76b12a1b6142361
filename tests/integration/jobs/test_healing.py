import logging
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine

from pipelabs.audit import log_file, reconciliation
from pipelabs.core.db import db, unit_of_work
from pipelabs.jobs import every_minute
from pipelabs.models import AuditEvent, ExchangeAPIKey, KeyStage, now
from tests.factories import QUICK_CLIENT, make_body, make_exchange, make_key


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
def test_a_lost_line_is_healed_and_said(app, file, caplog):
    path, line = file

    every_minute.heal(app)

    assert path.read_text().splitlines() == [line]
    assert "the audit file lacked lines" in caplog.text


@pytest.mark.own_database
def test_a_fault_is_said_and_ends_nothing(app, file, caplog):
    path, _ = file
    path.unlink()
    path.mkdir()

    with caplog.at_level(logging.WARNING):
        every_minute.heal(app)
    path.rmdir()

    assert "the audit file was not reconciled: IsADirectoryError" in caplog.text


@pytest.mark.own_database
def test_a_file_that_lacks_nothing_is_not_spoken_of(app, file, caplog):
    path, line = file
    path.write_text(f"{line}\n")

    every_minute.heal(app)

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
        before = log_file.file_handler().is_writable()
        reconciliation.reconcile(app.config["INSTANCE"])

    every_minute.heal(app)

    assert (before, log_file.file_handler().is_writable()) == (False, True)


@pytest.mark.own_database
def test_it_begins_at_once_and_does_not_keep_the_process(app, file, monkeypatch):
    path, line = file
    slept, is_asleep = [], threading.Event()

    def sleep(seconds):
        slept.append(seconds)
        is_asleep.set()
        threading.Event().wait()

    monkeypatch.setattr(every_minute, "time", SimpleNamespace(sleep=sleep))

    thread = every_minute.start(app)

    assert is_asleep.wait(120)
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


@pytest.fixture
def overdue(app, ring):
    """A kept key whose day is over."""
    with app.app_context(), unit_of_work():
        make_exchange()
        make_key(stage=KeyStage.SUPERSEDED, destroy_at=now() - timedelta(seconds=1))


def test_a_replaced_key_is_destroyed_when_its_day_is_over(app, overdue, rows, caplog):
    with caplog.at_level(logging.INFO):
        every_minute.destroy(app)
        every_minute.destroy(app)

    [key] = rows(ExchangeAPIKey)
    assert (key.stage, key.credentials) == (KeyStage.DESTROYED, None)
    [event] = rows(AuditEvent, event="api_key.destroyed")
    assert event.actor == "service"
    assert caplog.text.count("replaced API keys were destroyed") == 1


def test_a_ring_that_lacks_a_key_is_complained_of(app, ring, caplog):
    with app.app_context(), unit_of_work():
        make_exchange()
        make_key()
    ring(2)

    every_minute.destroy(app)

    assert "VAULT_KEYS lacks versions that rows need: [1]" in caplog.text


def test_a_fault_of_the_database_is_said(app, overdue, caplog, monkeypatch):
    away = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    monkeypatch.setitem(db._app_engines[app], None, away)

    every_minute.destroy(app)

    assert "no replaced API key was destroyed: OperationalError" in caplog.text
