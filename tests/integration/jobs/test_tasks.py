import logging
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import text

from pipelabs.accounts import retention
from pipelabs.core.db import db, unit_of_work
from pipelabs.jobs import tasks
from pipelabs.models import (
    APIToken,
    AuditEvent,
    ExchangeAPIKey,
    KeyStage,
    QuotedDay,
    Session,
    now,
)
from pipelabs.vault import replacement
from tests.factories import (
    make_actor,
    make_admin,
    make_credentials,
    make_exchange,
    make_key,
    make_session,
)
from tests.integration.machines.rows import make_grant, make_lease, make_machine

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture
def superseded(app, ring):
    """The id of a key that was just superseded."""
    with app.app_context(), unit_of_work():
        make_exchange()
        live = make_key()
        newer = make_credentials(api_key="okx-key-newer")
        candidate = make_key(
            live.client, credentials=newer, stage=KeyStage.CANDIDATE, replaces_id=live.id
        )
        replacement.cut_over(candidate.id, make_actor())
        return str(live.id)


@pytest.fixture
def queued(app):
    """Return a reader of the jobs that wait: name, ids, time."""

    def read():
        with app.app_context():
            return db.session.execute(
                text("SELECT task_name, args, scheduled_at FROM procrastinate_jobs ORDER BY id")
            ).all()

    return read


def test_cut_over_enqueues_the_destruction_of_the_old_secrets(superseded, queued, rows):
    [job] = queued()
    [key] = [key for key in rows(ExchangeAPIKey) if str(key.id) == superseded]

    assert (job.task_name, job.args) == ("destroy_secrets", {"key_id": superseded})
    assert job.scheduled_at == key.destroy_at


def test_destroy_secrets_destroys_a_superseded_key_once(app, superseded, run_task, rows, queued):
    with time_machine.travel(now() + replacement.RETENTION, tick=False):
        run_task(tasks.destroy_secrets, superseded)
        run_task(tasks.destroy_secrets, superseded)

    [event] = rows(AuditEvent, event="api_key.destroyed")
    assert (event.actor, event.details["key"]) == ("service", superseded)
    assert len(queued()) == 1


def test_destroy_secrets_leaves_a_key_that_was_rolled_back_to(superseded, run_task, rows, app):
    with app.app_context(), unit_of_work():
        [live] = [key for key in rows(ExchangeAPIKey) if key.stage is KeyStage.LIVE]
        replacement.roll_back(live.id, make_actor())

    with time_machine.travel(now() + 2 * replacement.RETENTION, tick=False):
        run_task(tasks.destroy_secrets, superseded)

    assert rows(AuditEvent, event="api_key.destroyed") == []


def test_destroy_secrets_looks_again_while_a_machine_holds_the_key(
    app, superseded, run_task, rows, queued
):
    over = now() + 2 * replacement.RETENTION
    with app.app_context(), unit_of_work():
        machine = make_machine(make_admin())
        make_lease(machine, make_grant(machine), superseded, expires_at=over, held_until=over)

    with time_machine.travel(now() + replacement.RETENTION, tick=False):
        run_task(tasks.destroy_secrets, superseded)
        _, again = queued()

        assert (again.task_name, again.args) == ("destroy_secrets", {"key_id": superseded})
        assert again.scheduled_at == now() + MINUTE
    assert rows(AuditEvent, event="api_key.destroyed") == []


def test_examine_due_keys_enqueues_and_logs_checks(app, run_task, stored, queued, caplog):
    key_id = stored()
    with app.app_context(), unit_of_work():
        db.session.get_one(ExchangeAPIKey, key_id).examined_at = now() - DAY

    with caplog.at_level(logging.INFO):
        run_task(tasks.examine_due_keys)
        run_task(tasks.examine_due_keys)

    assert [(job.task_name, job.args) for job in queued()] == [("examine_key", {"key_id": key_id})]
    assert caplog.text.count("checks of keys were enqueued") == 1


def test_destroy_due_secrets_destroys_what_no_job_has_destroyed(
    app, ring, run_task, stored, rows, caplog
):
    stored(stage=KeyStage.SUPERSEDED, destroy_at=now() - timedelta(seconds=1))

    with caplog.at_level(logging.INFO):
        run_task(tasks.destroy_due_secrets)
        run_task(tasks.destroy_due_secrets)

    [key] = rows(ExchangeAPIKey)
    assert (key.stage, key.credentials) == (KeyStage.DESTROYED, None)
    assert caplog.text.count("expired secrets were destroyed") == 1


def test_check_key_ring_logs_versions_that_are_missing(ring, run_task, stored, caplog):
    stored()
    run_task(tasks.check_key_ring)
    ring(2)
    run_task(tasks.check_key_ring)

    logged = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert logged == ["VAULT_KEYS lacks versions that are still in use: [1]"]


def test_quarantine_altered_keys_logs_the_keys_once(app, run_task, stored, rows, caplog):
    key_id = stored()
    with app.app_context(), unit_of_work():
        db.session.execute(text("UPDATE exchange_api_keys SET label = 'moved'"))

    run_task(tasks.quarantine_altered_keys)
    run_task(tasks.quarantine_altered_keys)

    [record] = [record for record in caplog.records if record.name == "pipelabs.jobs"]
    assert record.getMessage() == "API keys were changed outside of Pipe Labs"
    assert record.keys == [key_id]
    [event] = rows(AuditEvent, event="api_key.altered")
    assert event.actor == "service"


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


def test_purge_deletes_what_ended_90_days_ago(run_task, ended, rows, caplog):
    with caplog.at_level(logging.INFO):
        run_task(tasks.purge_ended_sessions)
        run_task(tasks.purge_ended_sessions)

    assert {session.address for session in rows(Session)} == {"recent", "open"}
    assert {token.name for token in rows(APIToken)} == {"recent", "expired recently", "live"}
    assert caplog.text.count("ended sessions and tokens were deleted") == 1


def test_purge_deletes_a_batch_at_a_time(run_task, ended, rows, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)

    left = []
    for _ in range(3):
        run_task(tasks.purge_ended_sessions)
        left.append((len(rows(Session)), len(rows(APIToken))))

    assert left == [(3, 5), (2, 4), (2, 3)]


def test_count_quoted_markets_counts_today(run_task, rows):
    run_task(tasks.count_quoted_markets)

    [counted] = rows(QuotedDay)
    assert (counted.active, counted.paused) == (0, 0)


def test_expire_leases_records_and_logs_them_once(app, run_task, stored, rows, caplog):
    key_id = stored()
    with app.app_context(), unit_of_work():
        machine = make_machine(make_admin())
        over = now() - timedelta(seconds=1)
        make_lease(machine, make_grant(machine), key_id, expires_at=over)

    with caplog.at_level(logging.INFO):
        run_task(tasks.expire_leases)
        run_task(tasks.expire_leases)

    [row] = rows(AuditEvent, event="lease.ended")
    assert (row.actor, row.details["reason"]) == ("service", "expired")
    assert caplog.text.count("leases have expired") == 1
