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
def test_the_table_itself_refuses_another_status(app, status):
    with app.app_context(), pytest.raises(IntegrityError, match='"ck_audit_events_outcome"'):
        db.session.execute(INSERT, {"status": status})


@pytest.mark.parametrize("status", [outcome.value for outcome in Outcome])
def test_every_outcome_can_be_stored(app, rows, status):
    with app.app_context():
        db.session.execute(INSERT, {"status": status})
        finish(commit=True)

    assert [row.status for row in rows(AuditEvent)] == [status]


@each("column", ["instance", "request_id", "status", "event", "mac_key", "mac"])
def test_evidence_has_no_gaps(app, column):
    with app.app_context(), pytest.raises(IntegrityError, match="not-null"):
        add_row(**{column: None})


def test_nobody_chooses_the_number_of_a_row(app):
    with app.app_context(), pytest.raises(DBAPIError, match="GENERATED ALWAYS"):
        add_row(id=1)


def test_rows_are_numbered_in_the_order_they_came(app):
    with app.app_context():
        ids = [add_row().scalar_one().id for _ in range(3)]

    assert ids == list(range(ids[0], ids[0] + 3))


def test_two_rows_are_never_taken_for_one(app):
    with app.app_context():
        uid = add_row().scalar_one().uid

        with pytest.raises(IntegrityError, match='"uq_audit_events_uid"'):
            add_row(uid=uid)


def test_a_row_knows_the_transaction_that_wrote_it(app):
    with app.app_context():
        row = add_row().scalar_one()
        running = db.session.scalar(text("SELECT pg_current_xact_id()"))

    assert row.xid == running


def test_evidence_stands_without_the_rows_it_names(app, rows):
    nobody = "00000000-0000-0000-0000-000000000007"
    with app.app_context():
        add_row(admin_id=nobody, client_id=nobody)
        finish(commit=True)

    assert [str(row.client_id) for row in rows(AuditEvent)] == [nobody]


def test_a_caller_has_one_count(app):
    with app.app_context():
        fold = {"caller": "ip:192.0.2.7", "window_at": text("now()"), "denials": 1, "coalesced": 0}
        db.session.execute(insert(CoalescedDenials).values(fold))

        with pytest.raises(IntegrityError, match='"pk_coalesced_denials"'):
            db.session.execute(insert(CoalescedDenials).values(fold))
