from collections import Counter
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import text

from pipelabs.audit.events import Event
from pipelabs.core.db import db, unit_of_work
from pipelabs.jobs import tasks
from pipelabs.models import AuditEvent, Client, ExchangeAPIKey, KeyStage, KeyStatus, Status, now
from pipelabs.vault import recheck
from pipelabs.vault.api_keys import revoke_key
from pipelabs.vault.examination import probe_key
from pipelabs.vault.probe import Failure
from tests.factories import (
    make_actor,
    make_credentials,
    make_exchange,
    make_key,
    make_probe_result,
)
from tests.stub_exchange import Scenario, credentials

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def due(app):
    """Return a reader of the checks that `enqueue_due` enqueues: label of the key → when."""

    def read():
        with app.app_context(), unit_of_work():
            recheck.enqueue_due()
        with app.app_context():
            rows = db.session.execute(
                text(
                    "SELECT label, exchange, scheduled_at, lock FROM procrastinate_jobs "
                    "JOIN exchange_api_keys ON exchange_api_keys.id = (args ->> 'key_id')::uuid "
                    "WHERE task_name = 'examine_key' ORDER BY procrastinate_jobs.id"
                )
            ).all()
        assert all(row.lock == f"examine_key:{row.exchange}" for row in rows)
        return {row.label: row.scheduled_at for row in rows}

    return read


@pytest.fixture
def key(app, ring):
    """Return a maker of keys by label, in one transaction."""

    def make(label, examined=DAY, exchange="okx", **changes):
        with app.app_context(), unit_of_work():
            make_exchange()
            stored = make_key(label=label, exchange=exchange, **changes)
            stored.examined_at = None if examined is None else now() - examined
            return str(stored.id)

    return make


def test_live_keys_are_due_a_day_after_their_last_check(key, due):
    key("checked a day ago")
    key("never checked", examined=None)
    key("checked recently", examined=DAY - MINUTE)
    key("candidate", stage=KeyStage.CANDIDATE)
    key("altered", altered_at=now())
    key("superseded", stage=KeyStage.SUPERSEDED, destroy_at=now() + DAY)

    assert list(due()) == ["never checked", "checked a day ago"]


def test_a_key_whose_exchange_could_not_be_asked_is_due_after_an_hour(key, due):
    key("busy", examined=HOUR, result=make_probe_result(Failure.BUSY))
    key("busy just now", examined=HOUR - MINUTE, result=make_probe_result(Failure.BUSY))
    key("rejected", examined=HOUR, result=make_probe_result(Failure.REJECTED))

    assert list(due()) == ["busy"]


def test_keys_that_cannot_be_asked_about_are_not_due(app, key, due):
    key("disabled", exchange="kraken")
    key("no permissions reported", exchange="hyperliquid")
    closed = key("offboarded")
    with app.app_context(), unit_of_work():
        make_exchange("kraken", is_enabled=False)
        client_id = db.session.get_one(ExchangeAPIKey, closed).client_id
        db.session.get_one(Client, client_id).status = Status.OFFBOARDED

    assert list(due()) == []


def test_a_check_that_waits_is_not_enqueued_again(key, due):
    key("main")

    assert due() == due()


@pytest.mark.parametrize(
    ("limit", "pause"), [(None, 10), (6000, 10), (300, 20), (1, 6000)], ids=str
)
def test_checks_of_an_exchange_keep_to_its_rate_limit(app, key, due, limit, pause):
    with app.app_context(), unit_of_work():
        make_exchange(config={} if limit is None else {"requests_per_minute": limit})
    for number in range(3):
        key(f"{number}", examined=DAY + (3 - number) * MINUTE)

    with time_machine.travel(now(), tick=False):
        begin = now()
        times = due()

    expected = [timedelta(seconds=place * pause) for place in range(3)]
    within = [time for time in expected if time < recheck.PERIOD]
    assert [at - begin for at in times.values()] == within


def test_checks_of_different_exchanges_do_not_wait_for_each_other(key, due):
    for exchange in ("okx", "binance"):
        for number in range(2):
            key(f"{exchange} {number}", exchange=exchange)

    with time_machine.travel(now(), tick=False):
        waits = Counter((at - now()).total_seconds() for at in due().values())

    assert waits == {0: 2, 10: 2}


@pytest.fixture
def okx(venues, key):
    """Return a maker of keys that the stub knows, due for their check."""

    def make(scenario):
        parts = make_credentials(**credentials("okx", scenario))
        return key("main", credentials=parts)

    return make


def events(rows):
    return [event.event for event in rows(AuditEvent) if event.event.startswith("api_key.")]


def test_a_check_without_a_change_is_recorded_as_routine(app, okx, run_task, rows):
    key_id = okx(Scenario.TRADE_ONLY)
    run_task(tasks.examine_key, key_id)
    with app.app_context(), unit_of_work():
        db.session.get_one(ExchangeAPIKey, key_id).examined_at = now() - DAY

    run_task(tasks.examine_key, key_id)

    [key] = rows(ExchangeAPIKey)
    assert key.examined_at > now() - MINUTE
    assert events(rows) == [Event.API_KEY_VERIFIED, Event.API_KEY_RECHECKED]
    assert rows(AuditEvent, event=Event.API_KEY_RECHECKED)[0].actor == "service"


def test_a_key_that_can_withdraw_by_now_is_quarantined(okx, run_task, rows):
    run_task(tasks.examine_key, okx(Scenario.WITHDRAW))

    [key] = rows(ExchangeAPIKey)
    assert key.status is KeyStatus.QUARANTINED
    assert events(rows) == [Event.API_KEY_VERIFIED]


def test_a_key_that_cannot_be_decrypted_stays_due(okx, ring, run_task, rows, due, caplog):
    key_id = okx(Scenario.TRADE_ONLY)
    ring(2)

    run_task(tasks.examine_key, key_id)

    assert "a key was not checked: Undecryptable" in caplog.text
    assert events(rows) == []
    assert list(due()) == ["main"]


def test_a_key_that_is_not_due_any_more_is_not_asked_about(okx, run_task, rows):
    key_id = okx(Scenario.TRADE_ONLY)
    run_task(tasks.examine_key, key_id)
    run_task(tasks.examine_key, key_id)

    assert events(rows) == [Event.API_KEY_VERIFIED]


def test_a_key_that_is_revoked_meanwhile_stays_as_it_is(app, okx, run_task, rows, monkeypatch):
    key_id = okx(Scenario.TRADE_ONLY)

    def revoke_then_answer(request):
        with unit_of_work():
            revoke_key(key_id, make_actor())
        return probe_key(request)

    monkeypatch.setattr(recheck, "probe_key", revoke_then_answer)
    run_task(tasks.examine_key, key_id)

    assert events(rows) == [Event.API_KEY_REVOKED]
