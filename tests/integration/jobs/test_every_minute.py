import logging
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from pipelabs.accounts import retention
from pipelabs.audit import log_file, reconciliation
from pipelabs.core.db import db, unit_of_work
from pipelabs.jobs import every_minute
from pipelabs.models import APIToken, AuditEvent, ExchangeAPIKey, KeyStage, Session, now
from tests.factories import (
    QUICK_CLIENT,
    make_admin,
    make_body,
    make_exchange,
    make_key,
    make_session,
)
from tests.integration.machines.rows import make_grant, make_lease, make_machine


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
def test_reconcile_audit_file_appends_and_logs_a_lost_line(app, file, caplog):
    path, line = file

    every_minute.reconcile_audit_file(app)

    assert path.read_text().splitlines() == [line]
    assert "the audit file lacked lines" in caplog.text


@pytest.mark.own_database
def test_reconcile_audit_file_logs_an_error(app, file, caplog):
    path, _ = file
    path.unlink()
    path.mkdir()

    with caplog.at_level(logging.WARNING):
        every_minute.reconcile_audit_file(app)
    path.rmdir()

    assert "the audit file was not reconciled: IsADirectoryError" in caplog.text


@pytest.mark.own_database
def test_reconcile_audit_file_logs_nothing_for_a_complete_file(app, file, caplog):
    path, line = file
    path.write_text(f"{line}\n")

    every_minute.reconcile_audit_file(app)

    assert path.read_text().splitlines() == [line]
    assert caplog.text == ""


@pytest.mark.own_database
def test_reconcile_audit_file_clears_an_earlier_write_failure(app, file, client):
    path, _ = file
    path.unlink()
    path.mkdir()
    client.post(QUICK_CLIENT, json={})
    path.rmdir()
    with app.app_context(), unit_of_work():
        before = log_file.get_file_handler().is_writable()
        reconciliation.reconcile(app.config["INSTANCE"])

    every_minute.reconcile_audit_file(app)

    assert (before, log_file.get_file_handler().is_writable()) == (False, True)


@pytest.mark.own_database
def test_start_runs_at_once_in_a_daemon_thread(app, file, monkeypatch):
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
    ("word", "output"), [("reconcile", "1 lines appended"), ("rebuild", "1 lines written")]
)
def test_audit_commands_write_missing_lines(app, file, word, output):
    path, line = file

    result = app.test_cli_runner().invoke(args=["audit", word])

    assert (result.exit_code, result.output.strip()) == (0, output)
    assert path.read_text().splitlines() == [line]


@pytest.fixture
def overdue(app, ring):
    """A superseded key whose retention is over."""
    with app.app_context(), unit_of_work():
        make_exchange()
        make_key(stage=KeyStage.SUPERSEDED, destroy_at=now() - timedelta(seconds=1))


def test_destroy_expired_secrets_destroys_superseded_keys(app, overdue, rows, caplog):
    with caplog.at_level(logging.INFO):
        every_minute.destroy_expired_secrets(app)
        every_minute.destroy_expired_secrets(app)

    [key] = rows(ExchangeAPIKey)
    assert (key.stage, key.credentials) == (KeyStage.DESTROYED, None)
    [event] = rows(AuditEvent, event="api_key.destroyed")
    assert event.actor == "service"
    assert caplog.text.count("expired secrets were destroyed") == 1


def test_destroy_expired_secrets_logs_missing_key_versions(app, ring, caplog):
    with app.app_context(), unit_of_work():
        make_exchange()
        make_key()
    ring(2)

    every_minute.destroy_expired_secrets(app)

    assert "VAULT_KEYS lacks versions that are still in use: [1]" in caplog.text


def test_destroy_expired_secrets_logs_a_database_error(app, overdue, caplog, monkeypatch):
    unreachable = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    monkeypatch.setitem(db._app_engines[app], None, unreachable)

    every_minute.destroy_expired_secrets(app)

    assert "expired secrets were not destroyed: OperationalError" in caplog.text


def test_quarantine_altered_keys_logs_the_keys_once(app, stored, rows, caplog):
    key_id = stored()
    with app.app_context(), unit_of_work():
        db.session.execute(text("UPDATE exchange_api_keys SET label = 'moved'"))

    every_minute.quarantine_altered_keys(app, None)
    every_minute.quarantine_altered_keys(app, None)

    [record] = [record for record in caplog.records if record.name == "pipelabs"]
    assert record.getMessage() == "API keys were changed outside of Pipe Labs"
    assert record.keys == [key_id]
    [event] = rows(AuditEvent, event="api_key.altered")
    assert event.actor == "service"


def test_quarantine_altered_keys_begins_again_after_a_database_error(app, caplog, monkeypatch):
    unreachable = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    monkeypatch.setitem(db._app_engines[app], None, unreachable)
    key_id = uuid4()

    assert every_minute.quarantine_altered_keys(app, key_id) == key_id
    assert "signatures of API keys were not checked: OperationalError" in caplog.text


DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def make_token(admin, name, **changes):
    token = APIToken(
        admin_id=admin.id,
        name=name,
        prefix="pl_x",
        last_four="abcd",
        digest=name.encode(),
        permissions=[],
        addresses=[],
        **{"expires_at": now() + DAY} | changes,
    )
    db.session.add(token)


@pytest.fixture
def ended(app):
    """Sessions and tokens that ended more and less than 90 days ago, or not yet."""
    old, recent = now() - 90 * DAY - MINUTE, now() - 90 * DAY + MINUTE
    with app.app_context(), unit_of_work():
        admin = make_admin()
        make_session(admin, address="expired", expires_at=old)
        make_session(admin, address="revoked", expires_at=old, revoked_at=old - MINUTE)
        make_session(admin, address="recent", expires_at=recent, revoked_at=old)
        make_session(admin, address="open")
        make_token(admin, "expired", expires_at=old)
        make_token(admin, "revoked", revoked_at=old)
        make_token(admin, "both", revoked_at=recent, expires_at=old)
        make_token(admin, "recent", revoked_at=recent)
        make_token(admin, "expired recently", expires_at=recent)
        make_token(admin, "live")


def test_purge_deletes_what_ended_90_days_ago(app, ended, rows, caplog):
    with caplog.at_level(logging.INFO):
        every_minute.purge_ended_sessions(app)
        every_minute.purge_ended_sessions(app)

    assert {session.address for session in rows(Session)} == {"recent", "open"}
    assert {token.name for token in rows(APIToken)} == {"recent", "expired recently", "live"}
    assert caplog.text.count("ended sessions and tokens were deleted") == 1


def test_purge_deletes_a_batch_at_a_time(app, ended, rows, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)

    left = []
    for _ in range(3):
        every_minute.purge_ended_sessions(app)
        left.append((len(rows(Session)), len(rows(APIToken))))

    assert left == [(3, 5), (2, 4), (2, 3)]


def test_purge_logs_a_database_error(app, ended, caplog, monkeypatch):
    unreachable = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    monkeypatch.setitem(db._app_engines[app], None, unreachable)

    every_minute.purge_ended_sessions(app)

    every_minute.erase_shown_secrets(app)
    every_minute.count_quoted_markets(app)

    assert "quoted markets were not counted: OperationalError" in caplog.text
    assert "ended sessions were not deleted: OperationalError" in caplog.text
    assert "shown secrets were not erased: OperationalError" in caplog.text


@pytest.fixture
def expired_lease(app, stored):
    key_id = stored()
    with app.app_context():
        machine = make_machine(make_admin())
        over = now() - timedelta(seconds=1)
        make_lease(machine, make_grant(machine), key_id, expires_at=over)
        db.session.commit()


def test_expire_leases_records_and_logs_them_once(app, expired_lease, rows, caplog):
    with caplog.at_level(logging.INFO):
        every_minute.expire_leases(app)
        every_minute.expire_leases(app)

    [row] = rows(AuditEvent, event="lease.ended")
    assert (row.actor, row.details["reason"]) == ("service", "expired")
    assert caplog.text.count("leases have expired") == 1


def test_expire_leases_logs_a_database_error(app, expired_lease, caplog, monkeypatch):
    unreachable = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    monkeypatch.setitem(db._app_engines[app], None, unreachable)

    every_minute.expire_leases(app)

    assert "expired leases were not recorded: OperationalError" in caplog.text
