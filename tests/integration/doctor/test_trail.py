from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from pipelabs.audit import log_file, reconciliation, trail
from pipelabs.audit.events import Event
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.keyring import Key
from pipelabs.doctor.findings import Severity
from pipelabs.models import AuditEvent, AuditFileMark, now
from tests.each import each
from tests.factories import QUICK_CLIENT, make_actor, make_body

NAMES = ", ".join(set(AuditEvent.__table__.c.keys()) - {"id", "xid"})
COPY = f"INSERT INTO audit_events ({NAMES}) SELECT {NAMES} FROM audit_events LIMIT 1"  # noqa: S608 - columns of the model

pytestmark = pytest.mark.own_database


@pytest.fixture
def events(app):
    """The ids of three audit rows."""
    with app.app_context(), unit_of_work():
        for _ in range(3):
            trail.record(Event.CLIENT_CREATED, make_actor())
    with app.app_context():
        return list(db.session.scalars(text("SELECT id FROM audit_events ORDER BY id")))


@pytest.fixture
def rewrite(app):
    """Return what changes audit rows as the owner does."""

    def run(statement, **values):
        engine = create_engine(app.config["DATABASE_MIGRATION_URL"], poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text(statement), values)

    return run


@each("is_full", [False, True])
def test_an_altered_audit_row_is_found_alone(examined, events, rewrite, is_full):
    rewrite("UPDATE audit_events SET actor = 'x' WHERE id = :id", id=events[1])

    [found] = examined(is_full=is_full)

    assert (found.check, found.severity) == ("audit_rows", Severity.ERROR)
    assert found.message.startswith(
        f"1 audit row was written or changed by something else, the first is {events[1]}."
    )


def test_a_copied_audit_row_is_found_by_the_full_examination(examined, events, rewrite):
    rewrite(COPY)

    assert examined() == []
    [found] = examined(is_full=True)

    assert (found.check, found.severity) == ("audit_rows", Severity.ERROR)


def test_audit_rows_of_a_retired_key_are_a_warning(app, examined, events, monkeypatch):
    other = [Key("v9", bytes(32))]
    monkeypatch.setitem(app.extensions, "pipelabs.audit_keys", other)

    [found] = examined()

    assert (found.check, found.severity) == ("audit_rows", Severity.WARNING)
    assert found.message.startswith("3 audit rows can't be verified")


@pytest.fixture
def reconciled(app, operator, until_final):
    """The path of the audit file, with a line that was reconciled."""
    app.test_client().post(QUICK_CLIENT, json=make_body(), headers=operator)
    until_final()
    with app.app_context(), unit_of_work():
        reconciliation.reconcile(app.config["INSTANCE"])
    return Path(app.config["AUDIT_LOG_FILE"])


def test_an_audit_file_in_a_missing_folder_is_found_alone(examined, tmp_path, monkeypatch):
    handler = log_file.AuditFileHandler(str(tmp_path / "missing" / "client_creation.log"))
    monkeypatch.setattr(log_file, "get_file_handler", lambda: handler)

    [found] = examined()

    assert (found.check, found.severity) == ("audit_file", Severity.ERROR)
    assert "can't be written" in found.message


def test_an_audit_file_that_was_replaced_is_found_alone(examined, tmp_path, monkeypatch):
    path = tmp_path / "client_creation.log"
    handler = log_file.AuditFileHandler(str(path))
    handler.append(["a line"])
    monkeypatch.setattr(log_file, "get_file_handler", lambda: handler)
    assert examined() == []

    path.rename(tmp_path / "another.log")
    path.touch()
    [found] = examined()
    handler.close()

    assert (found.check, found.severity) == ("audit_file", Severity.ERROR)
    assert "is not the one at AUDIT_LOG_FILE" in found.message


def test_another_file_than_the_services_is_found_alone(examined, reconciled, tmp_path, monkeypatch):
    assert examined() == []
    handler = log_file.AuditFileHandler(str(tmp_path / "client_creation.log"))
    monkeypatch.setattr(log_file, "get_file_handler", lambda: handler)

    [found] = examined()

    assert (found.check, found.severity) == ("audit_reconciliation", Severity.WARNING)
    assert "not the one that the service has written" in found.message


def test_a_file_that_is_no_longer_reconciled_is_found_alone(app, examined, reconciled):
    with app.app_context():
        mark = db.session.get_one(AuditFileMark, app.config["INSTANCE"])
        mark.marked_at = now() - timedelta(minutes=6)
        db.session.commit()

    [found] = examined()

    assert (found.check, found.severity) == ("audit_reconciliation", Severity.WARNING)
    assert "was last reconciled at" in found.message
