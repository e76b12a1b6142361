import threading
from collections import Counter
from datetime import timedelta
from secrets import token_urlsafe
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, text, update

from pipelabs.audit import reconciliation, trail
from pipelabs.audit.events import Event
from pipelabs.core import metrics as core_metrics
from pipelabs.core import shutdown
from pipelabs.core.db import db, finish
from pipelabs.core.job_queue import Job, enqueue
from pipelabs.core.version import version
from pipelabs.models import AuditEvent, AuditFileMark, ExchangeAPIKey, Role, new_id, now
from pipelabs.overview import gauges
from pipelabs.web import metrics
from tests.each import each
from tests.factories import QUICK_CLIENT, make_actor, make_body, make_wallet

TOKEN = token_urlsafe(48)
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PREFIX = "pipelabs_"
BATCH = "/api/admin/clients:batch"
REQUESTS = "pipelabs_http_requests_total"
EVENTS = "pipelabs_audit_events_total"
DENIALS = "pipelabs_limit_denials_total"


@pytest.fixture
def guarded(app, client, monkeypatch):
    """A client of the service with a token for its metrics."""
    monkeypatch.setitem(app.config, "METRICS_TOKEN", TOKEN)
    return client


@pytest.fixture
def no_postgresql(app, monkeypatch):
    away = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    monkeypatch.setitem(db._app_engines[app], None, away)


def create(client, headers, **changes):
    return client.post(QUICK_CLIENT, json=make_body(**changes), headers=headers).status_code


def test_metrics_do_not_exist_without_a_token(client, operator):
    for headers in ({}, BEARER, {"Authorization": "Bearer "}, operator):
        assert client.get("/metrics", headers=headers).status_code == 404


@each(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}é",
        f"Basic {TOKEN}",
        TOKEN,
    ],
)
def test_metrics_deny_any_other_token(guarded, header):
    response = guarded.get("/metrics", headers={} if header is None else {"Authorization": header})

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in response.text


@pytest.mark.parametrize("role", Role)
def test_metrics_deny_the_tokens_of_admins(guarded, sign_in, role):
    assert guarded.get("/metrics", headers=sign_in(role)).status_code == 401


def test_metrics_are_text_that_no_cache_keeps_and_spend_no_budget(guarded):
    response = guarded.get("/metrics", headers=BEARER)

    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert "RateLimit" not in response.headers


def test_metrics_begin_with_the_name_of_the_service(scrape):
    assert {name[0] for name in scrape() if not name[0].startswith(PREFIX)} == set()


def test_requests_are_counted_by_route_method_and_status(client, operator, increases):
    create(client, operator)
    create(client, operator, name="")
    client.get("/api/admin/clients/31113ba9-d54f-4b34-8877-19e7dc1b7084", headers=operator)

    assert {
        ("POST", QUICK_CLIENT, "201"): 1,
        ("POST", QUICK_CLIENT, "400"): 1,
        ("GET", "/api/admin/clients/<uuid:client_id>", "404"): 1,
    }.items() <= increases(REQUESTS).items()
    seconds = increases("pipelabs_http_request_duration_seconds_count")
    assert seconds["POST", QUICK_CLIENT] == 2


def test_unknown_paths_and_methods_have_one_label(client, increases):
    for number in range(3):
        client.open(f"/secret-{number}", method=f"METHOD{number}")

    assert increases(REQUESTS).get(("other", "other", "404")) == 3


def test_audit_events_equal_the_committed_rows(app, client, operator, rows, increases):
    """Creates of every outcome, a batch, roll-backs, and savepoints."""
    body = make_body(wallet_address=make_wallet(), email="a@b.example")
    nobody: dict[str, str] = {}
    for headers in (operator, operator, nobody):
        client.post(QUICK_CLIENT, json=body, headers=headers)
    create(client, operator, name="")
    clients = [make_body(wallet_address=make_wallet(), email=None) for _ in range(3)]
    client.post(BATCH, json={"clients": clients}, headers=operator)
    with app.app_context():
        trail.record(Event.CLIENT_CREATED, make_actor())
        finish(commit=False)
        savepoint = db.session.begin_nested()
        trail.record(Event.CLIENT_UPDATED, make_actor())
        savepoint.rollback()
        with db.session.begin_nested():
            trail.record(Event.CLIENT_STATUS_CHANGED, make_actor())
        finish(commit=False)
        with db.session.begin_nested():
            trail.record(Event.ADMIN_SIGNED_OUT, make_actor())
        finish(commit=True)

    expected = Counter((row.event, row.status.value) for row in rows(AuditEvent))
    assert increases(EVENTS) == expected
    assert expected["client.created", "SUCCESS"] == 4
    assert {status for _, status in expected} >= {"SUCCESS", "DUPLICATE", "INVALID", "UNAUTHORIZED"}


def test_audit_event_is_not_counted_if_its_row_was_not_written(app, urls, client, operator, scrape):
    owner = create_engine(urls["owner"], isolation_level="AUTOCOMMIT")
    before = scrape()
    with owner.connect() as connection:
        connection.execute(text(f"REVOKE INSERT ON audit_events FROM {urls['service'].username}"))
        status = create(client, operator)
        connection.execute(text(f"GRANT INSERT ON audit_events TO {urls['service'].username}"))
    owner.dispose()

    after = scrape()
    assert status == 503
    assert [key for key in after if key[0] == EVENTS and after[key] != before.get(key, 0)] == []


def test_limit_denials_are_counted_by_budget(app, client, operator, increases, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "2/minute")
    for _ in range(4):
        create(client, operator)
    monkeypatch.setitem(app.config, "RATELIMIT_GENERAL", "1/minute")
    statuses = [client.get("/api/admin/clients", headers=operator).status_code for _ in range(2)]

    assert statuses == [200, 429]
    assert increases(DENIALS) == {("create",): 2, ("general",): 1}


def test_sign_in_throttle_is_counted_as_a_budget(client, increases):
    body = {"email": "nobody@desk.local", "password": "not the password"}
    statuses = [client.post("/api/auth/login", json=body).status_code for _ in range(7)]

    assert increases(DENIALS) == {("sign_in",): statuses.count(429)}
    assert statuses.count(429) > 0


def test_statements_and_waits_for_connections_are_timed(app, client, operator, scrape):
    name = "pipelabs_database_statement_duration_seconds_count"
    before = scrape()[name,]

    create(client, operator)

    assert scrape()[name,] >= before + 3
    with app.app_context():
        pool = db.engine.engine.pool
        waits = "pipelabs_database_pool_wait_seconds_count"
        count = scrape()[waits,]
        pool.connect().close()
    assert scrape()[waits,] == count + 1


def test_process_and_component_gauges(app, scrape):
    samples = scrape()

    assert samples["pipelabs_database_pool_connections_in_use",] >= 0
    assert samples["pipelabs_database_pool_connections_max",] == 18
    assert samples["pipelabs_limits_in_memory",] == 0
    assert samples["pipelabs_ready",] == samples["pipelabs_database_up",] == 1
    assert samples["pipelabs_component_up", "postgresql"] == 1
    assert samples["pipelabs_component_up", "vault"] == 0
    assert samples["pipelabs_key_ring_versions",] == 0
    assert samples["pipelabs_build_info", app.config["INSTANCE"], version()] == 1
    assert ("pipelabs_component_up", "proxy") not in samples
    assert ("pipelabs_audit_file_lag_seconds",) not in samples


def test_audit_file_lag_is_the_time_since_it_was_reconciled(app, scrape):
    with app.app_context():
        reconciliation.reconcile(app.config["INSTANCE"])
        finish(commit=True)
        marked_at = now() - timedelta(seconds=90)
        db.session.execute(update(AuditFileMark).values(marked_at=marked_at))
        finish(commit=True)

    assert 90 <= scrape()["pipelabs_audit_file_lag_seconds",] < 600


def test_jobs_by_state(app, scrape):
    with app.app_context():
        enqueue(Job.DESTROY_SECRETS, key_id=new_id())
        enqueue(Job.DESTROY_SECRETS, at=now() + timedelta(days=1), key_id=new_id())
        finish(commit=True)

    samples = scrape()

    states = {key[1]: value for key, value in samples.items() if key[0] == "pipelabs_jobs"}
    assert states == {"waiting": 1, "scheduled": 1, "running": 0, "failed": 0}


def test_keys_by_status_and_missing_versions_of_the_ring(stored, ring, change, scrape):
    stored()
    change(ExchangeAPIKey, failure="busy")
    stored()
    ring(2)

    samples = scrape()

    assert samples["pipelabs_api_keys", "busy", "verified"] == 1
    assert samples["pipelabs_api_keys", "none", "verified"] == 1
    assert samples["pipelabs_key_ring_versions_missing",] == 1
    assert samples["pipelabs_component_up", "vault"] == 0


def test_scrape_succeeds_without_postgresql(scrape, no_postgresql):
    samples = scrape()

    assert samples["pipelabs_database_up",] == samples["pipelabs_ready",] == 0
    assert samples["pipelabs_component_up", "postgresql"] == 0
    assert ("pipelabs_leases_live",) not in samples


def test_scrape_succeeds_if_postgresql_fails_after_the_health_check(scrape, monkeypatch):
    monkeypatch.setattr(gauges, "TIMEOUT", text("SELECT no_such_function()"))

    samples = scrape()

    assert samples["pipelabs_ready",] == 1
    assert samples["pipelabs_database_up",] == 0


def test_scrape_succeeds_while_the_instance_stops(scrape, monkeypatch):
    monkeypatch.setattr(shutdown, "is_shutting_down", lambda: True)

    samples = scrape()

    assert samples["pipelabs_ready",] == 0
    assert samples["pipelabs_database_up",] == 1


@pytest.mark.own_database
def test_sampling_stores_the_gauges_of_a_process_every_second(app, monkeypatch):
    slept, is_asleep = [], threading.Event()

    def sleep(seconds):
        slept.append(seconds)
        is_asleep.set()
        threading.Event().wait()

    monkeypatch.setattr(metrics, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setitem(app.config, "METRICS_TOKEN", TOKEN)
    core_metrics.POOL_MAX.set(0)

    metrics.start_sampling(app)

    assert is_asleep.wait(120)
    assert slept == [1]
    assert core_metrics.POOL_MAX._value.get() == 18


def test_no_thread_samples_without_a_token(app):
    before = threading.active_count()

    metrics.start_sampling(app)

    assert threading.active_count() <= before
