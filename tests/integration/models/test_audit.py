import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from pipelabs.core.db import db, finish
from pipelabs.models import AuditEvent, CoalescedDenials, Outcome
from tests.each import each


def add_row(**changes):
    values = {
        "instance": "here",
        "request_id": "abc12345",
        "status": Outcome.SUCCESS,
        "event": "client.created",
        "mac_key": "v1",
        "mac": b"\0" * 32,
    }
    return db.session.execute(insert(AuditEvent).values(values | changes).returning(AuditEvent))


INSERT = text("""
    INSERT INTO audit_events (uid, at, instance, request_id, status, event, details, mac_key, mac)
    VALUES (gen_random_uuid(), now(), 'here', 'abc12345', :status, 'x', '{}', 'v1', '')
""")


@each("status", ["OK", "success", "", "ERROR "])
def test_check_constraint_rejects_unknown_status(app, status):
    with app.app_context(), pytest.raises(IntegrityError, match='"ck_audit_events_outcome"'):
        db.session.execute(INSERT, {"status": status})


@pytest.mark.parametrize("status", [outcome.value for outcome in Outcome])
def test_every_outcome_can_be_stored(app, rows, status):
    with app.app_context():
        db.session.execute(INSERT, {"status": status})
        finish(commit=True)

    assert [row.status for row in rows(AuditEvent)] == [status]


@each("column", ["instance", "request_id", "status", "event", "mac_key", "mac"])
def test_audit_columns_are_required(app, column):
    with app.app_context(), pytest.raises(IntegrityError, match="not-null"):
        add_row(**{column: None})


def test_audit_event_id_cannot_be_chosen(app):
    with app.app_context(), pytest.raises(DBAPIError, match="GENERATED ALWAYS"):
        add_row(id=1)


def test_audit_event_ids_ascend(app):
    with app.app_context():
        ids = [add_row().scalar_one().id for _ in range(3)]

    assert ids == list(range(ids[0], ids[0] + 3))


def test_audit_event_stores_its_transaction_id(app):
    with app.app_context():
        row = add_row().scalar_one()
        running = db.session.scalar(text("SELECT pg_current_xact_id()"))

    assert row.xid == running


def test_audit_event_has_no_foreign_keys(app, rows):
    unknown_id = "00000000-0000-0000-0000-000000000007"
    with app.app_context():
        add_row(admin_id=unknown_id, client_id=unknown_id)
        finish(commit=True)

    assert [str(row.client_id) for row in rows(AuditEvent)] == [unknown_id]


def test_coalesced_denials_are_unique_for_each_caller(app):
    with app.app_context():
        row = {"caller": "ip:192.0.2.7", "window_at": text("now()"), "denials": 1, "coalesced": 0}
        db.session.execute(insert(CoalescedDenials).values(row))

        with pytest.raises(IntegrityError, match='"pk_coalesced_denials"'):
            db.session.execute(insert(CoalescedDenials).values(row))
