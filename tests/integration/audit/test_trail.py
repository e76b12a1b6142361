import fcntl
import os
import pwd
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, event, select, text, update
from sqlalchemy.exc import DBAPIError

from pipelabs.audit import coalescing, log_file, trail
from pipelabs.audit.events import Event
from pipelabs.audit.log_file import get_file_handler
from pipelabs.core.db import db, finish
from pipelabs.core.errors import NotFound, Unavailable
from pipelabs.models import Admin, AuditEvent, Client, CoalescedDenials, Proof, Session
from tests.factories import (
    ACTOR,
    PASSWORD,
    QUICK_CLIENT,
    make_actor,
    make_admin,
    make_body,
    make_client,
    make_wallet,
)
from tests.waiting import wait_for

LOGIN = "/api/auth/login"
LOGOUT = "/api/auth/logout"
UNKNOWN = {"email": "nobody@desk.local", "password": PASSWORD}


@pytest.fixture
def owner(urls):
    return create_engine(urls["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool)


@pytest.fixture
def closed_trail(app, urls, owner):
    with owner.connect() as connection:
        connection.execute(text(f"REVOKE INSERT ON audit_events FROM {urls['service'].username}"))
        yield
        connection.execute(text(f"GRANT INSERT ON audit_events TO {urls['service'].username}"))


@pytest.fixture
def caller(request):
    headers = request.getfixturevalue(request.param) if request.param else {}
    name = f"{request.param}@desk.local" if request.param else None
    return SimpleNamespace(headers=headers, name=name)


@pytest.fixture
def coalesces_early(app, monkeypatch):
    monkeypatch.setattr(coalescing, "COALESCE_AFTER", 2)
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "1/minute")


@pytest.fixture
def next_minute(app):
    def shift():
        with app.app_context():
            earlier = CoalescedDenials.window_at - timedelta(seconds=61)
            db.session.execute(update(CoalescedDenials).values(window_at=earlier))
            finish(commit=True)

    return shift


def coalesced_counts(rows):
    return [row.details["folded"] for row in rows if "folded" in row.details]


def signed(row):
    return {column.key: getattr(row, column.key) for column in AuditEvent.__table__.columns}


def test_record_writes_the_line_after_the_commit(app, rows, lines):
    with app.app_context():
        trail.record(Event.CLIENT_CREATED, make_actor(), facts={"name": "A"})
        before = lines()
        finish(commit=True)

    [row] = rows(AuditEvent)
    assert before == []
    assert [line.split(" ")[-2:] for line in lines()] == [[f"id={row.id}", "name=A"]]


def test_record_rolled_back_leaves_no_row_and_no_line(app, rows, lines):
    with app.app_context():
        trail.record(Event.CLIENT_CREATED, make_actor())
        finish(commit=False)
        finish(commit=True)

    assert rows(AuditEvent) == []
    assert lines() == []


def test_record_in_a_released_savepoint_waits_for_the_commit(app, lines):
    with app.app_context():
        with db.session.begin_nested():
            trail.record(Event.CLIENT_CREATED, make_actor())
        finish(commit=False)

    assert lines() == []


def test_savepoint_rollback_discards_only_its_own_lines(app, rows, lines):
    with app.app_context():
        trail.record(Event.CLIENT_CREATED, make_actor(request_id="outside1"))
        savepoint = db.session.begin_nested()
        trail.record(Event.CLIENT_CREATED, make_actor(request_id="inside01"))
        savepoint.rollback()
        finish(commit=True)

    assert [row.request_id for row in rows(AuditEvent)] == ["outside1"]
    assert [line.split(" | ")[2] for line in lines()] == ["outside1"]


@pytest.mark.parametrize(
    ("call", "caller", "options", "expected"),
    [
        (("POST", QUICK_CLIENT), "operator", {"json": {}}, (400, "INVALID")),
        (("POST", QUICK_CLIENT), None, {"json": make_body()}, (401, "UNAUTHORIZED")),
        (("POST", LOGIN), None, {"json": UNKNOWN}, (401, "UNAUTHORIZED")),
        (("POST", LOGOUT), None, {}, (401, "UNAUTHORIZED")),
        (("POST", QUICK_CLIENT), "viewer", {"json": make_body()}, (403, "FORBIDDEN")),
        (("POST", "/api/admin/nowhere"), "operator", {}, (404, "INVALID")),
        (("POST", "/api/nowhere"), None, {}, (404, "INVALID")),
        (("DELETE", QUICK_CLIENT), "operator", {}, (405, "INVALID")),
        (("PUT", "/health"), None, {}, (405, "INVALID")),
        (("POST", QUICK_CLIENT), None, {"data": "x" * 300_000}, (413, "INVALID")),
        (("POST", QUICK_CLIENT), "operator", {"data": "{}"}, (415, "INVALID")),
        (("POST", LOGIN), None, {"data": "{}"}, (415, "INVALID")),
    ],
    ids=range(12),
    indirect=["caller"],
)
def test_a_denied_request_has_one_row(client, rows, call, caller, options, expected):
    method, path = call

    response = client.open(path, method=method, headers=caller.headers, **options)

    [row] = rows(AuditEvent)
    assert (response.status_code, row.status, row.http) == (*expected, expected[0])
    assert (row.request_id, row.actor) == (response.json["request_id"], caller.name)
    assert (row.details["method"], row.details["path"]) == call
    assert row.details["code"] == response.json["error"]["code"]


def test_a_duplicate_has_a_row_that_names_the_existing_client(client, operator, rows):
    made = client.post(QUICK_CLIENT, json=make_body(), headers=operator).json["client"]["id"]

    client.post(QUICK_CLIENT, json=make_body(email=None), headers=operator)

    [row] = rows(AuditEvent, status="DUPLICATE")
    assert row.http == 409
    assert row.details["existing_wallet_address"] == made


def test_a_rate_limited_create_has_a_row(app, client, operator, rows, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "1/minute")
    client.post(QUICK_CLIENT, json={}, headers=operator)

    client.post(QUICK_CLIENT, json={}, headers=operator)

    assert [(row.status, row.http) for row in rows(AuditEvent)] == [
        ("INVALID", 400),
        ("RATE_LIMITED", 429),
    ]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(RuntimeError("unforeseen"), ("ERROR", 500)), (Unavailable("Away."), ("ERROR", 503))],
    ids=["500", "503"],
)
def test_a_server_error_has_a_row(client, operator, rows, monkeypatch, error, expected):
    def fail(*_):
        raise error

    monkeypatch.setattr("pipelabs.clients.service.create_client", fail)

    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    [row] = rows(AuditEvent)
    assert (row.status, row.http, row.event) == (*expected, "client.create_denied")
    assert "unforeseen" not in str(row.details)


@pytest.mark.parametrize(
    ("method", "path", "caller"),
    [
        ("GET", "/api/admin/clients/1", "operator"),
        ("GET", "/api/auth/me", "operator"),
        ("GET", "/api/auth/me", None),
        ("GET", QUICK_CLIENT, "operator"),
        ("HEAD", "/api/nowhere", None),
        ("OPTIONS", QUICK_CLIENT, None),
        ("GET", "/ready", None),
    ],
    indirect=["caller"],
)
def test_safe_methods_have_no_row(client, rows, method, path, caller):
    client.open(path, method=method, headers=caller.headers)

    assert rows(AuditEvent) == []


@pytest.mark.parametrize("caller", ["operator", "viewer", None], indirect=True)
def test_audit_file_has_every_attempt_to_create_a_client(client, rows, lines, caller):
    client.post(QUICK_CLIENT, json={}, headers=caller.headers)

    [row] = rows(AuditEvent)
    assert row.event == "client.create_denied"
    assert [line.split(" | ")[2] for line in lines()] == [row.request_id]


def test_audit_file_has_no_other_events(client, operator, rows, lines):
    client.post(LOGOUT, headers=operator)

    assert [row.event for row in rows(AuditEvent)] == ["admin.signed_out"]
    assert lines() == []


def test_a_claimed_email_is_a_fact_and_not_the_actor(client, operator, rows):
    claimed = UNKNOWN | {"email": "operator@desk.local"}

    client.post(LOGIN, json=claimed | {"password": "not-the-one-it-is"})

    [row] = rows(AuditEvent)
    assert (row.event, row.actor, row.admin_id) == ("admin.sign_in_denied", None, None)
    assert row.details["claimed_email"] == "operator@desk.local"


def test_rate_limited_denials_are_coalesced_after_twenty(app, client, operator, rows, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "1/minute")

    for _ in range(26):
        client.post(QUICK_CLIENT, json={}, headers=operator)

    assert [row.status for row in rows(AuditEvent)] == ["INVALID"] + ["RATE_LIMITED"] * 20
    assert coalesced_counts(rows(AuditEvent)) == []


def test_the_next_success_reports_coalesced_denials(client, operator, rows, coalesces_early):
    for _ in range(6):
        client.post(QUICK_CLIENT, json={}, headers=operator)

    client.post(LOGOUT, headers=operator)

    [row] = rows(AuditEvent, status="SUCCESS")
    assert row.details["folded"] == "3"


def test_coalesced_denials_are_reported_once(
    app, client, operator, rows, coalesces_early, monkeypatch
):
    for _ in range(6):
        client.post(QUICK_CLIENT, json={}, headers=operator)
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "99/minute")

    for _ in range(2):
        body = make_body(wallet_address=make_wallet(), email=None)
        client.post(QUICK_CLIENT, json=body, headers=operator)

    assert [row.details.get("folded") for row in rows(AuditEvent, status="SUCCESS")] == ["3", None]


def test_the_next_minute_s_first_denial_reports_coalesced_ones(
    client, operator, rows, coalesces_early, next_minute
):
    for _ in range(6):
        client.post(QUICK_CLIENT, json={}, headers=operator)

    next_minute()
    for _ in range(2):
        client.post(QUICK_CLIENT, json={}, headers=operator)

    limited = rows(AuditEvent, status="RATE_LIMITED")
    assert [row.details.get("folded") for row in limited] == [None, None, "3", None]


def test_sign_in_reports_the_admin_s_coalesced_denials(client, operator, rows, coalesces_early):
    for _ in range(6):
        client.post(QUICK_CLIENT, json={}, headers=operator)

    client.post(LOGIN, json={"email": "operator@desk.local", "password": PASSWORD})

    [row] = rows(AuditEvent, event="admin.signed_in")
    assert row.details.get("folded") == "3"


def test_rolling_back_a_success_keeps_the_coalesced_count(app, rows):
    actor = make_actor(has_coalesced=True)
    with app.app_context():
        db.session.add(
            CoalescedDenials(caller=actor.caller, window_at=db.func.now(), denials=25, coalesced=5)
        )
        finish(commit=True)
        trail.record(Event.CLIENT_CREATED, actor)
        finish(commit=False)
        trail.record(Event.CLIENT_CREATED, actor)
        finish(commit=True)

    assert coalesced_counts(rows(AuditEvent)) == ["5"]


def test_record_each_signs_every_row_and_reports_coalesced_denials_once(app, rows, lines):
    actor = make_actor(has_coalesced=True, token="pl_%s", name="100%@desk.local")
    names = ["100 %s", '"Ä" \\ |', "%(uid)s\ud83d", "plain"]
    statements = []
    with app.app_context():
        db.session.add(
            CoalescedDenials(caller=actor.caller, window_at=db.func.now(), denials=25, coalesced=5)
        )
        finish(commit=True)
        connection = db.session.connection()
        event.listen(connection, "before_cursor_execute", lambda *call: statements.append(call[2]))
        facts = [(uuid4(), {"name": name}) for name in names]
        trail.record_each(Event.CLIENT_CREATED, actor, facts)
        sent = [statement.split()[0] for statement in statements]
        finish(commit=True)

    recorded = rows(AuditEvent)
    assert [row.client_id for row in recorded] == [client_id for client_id, _ in facts]
    assert [row.details["name"] for row in recorded] == [*names[:2], "%(uid)s\\ud83d", "plain"]
    assert {row.proof for row in recorded} == {Proof.VALID}
    assert {row.details["token"] for row in recorded} == {"pl_%s"}
    assert [row.details.get("folded") for row in recorded] == ["5", None, None, None]
    assert sent == ["SELECT", "UPDATE", "INSERT"]
    assert len(lines()) == 4


def test_denials_are_coalesced_for_each_caller_separately(client, operator, rows, coalesces_early):
    for _ in range(4):
        client.post(LOGOUT)

    client.post(LOGOUT, environ_overrides={"REMOTE_ADDR": "192.0.2.9"})
    client.post(LOGOUT, headers=operator)

    assert [(row.status, row.address) for row in rows(AuditEvent)] == [
        *[("UNAUTHORIZED", "127.0.0.1")] * 2,
        ("UNAUTHORIZED", "192.0.2.9"),
        ("SUCCESS", "127.0.0.1"),
    ]
    assert coalesced_counts(rows(AuditEvent)) == []


def test_anonymous_denials_have_twenty_rows_a_minute(client, rows):
    for _ in range(23):
        client.post(LOGOUT)

    assert [row.status for row in rows(AuditEvent)] == ["UNAUTHORIZED"] * 20


@pytest.mark.usefixtures("coalesces_early")
@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        (QUICK_CLIENT, {"json": {}}, 401),
        (LOGIN, {"json": {}}, 400),
        (LOGIN, {"data": "{}"}, 415),
        ("/api/nowhere", {}, 404),
        ("/health", {}, 405),
    ],
    ids=range(5),
)
def test_anonymous_denials_are_coalesced_for_every_status(
    client, rows, next_minute, path, options, status
):
    for _ in range(5):
        client.post(path, **options)

    next_minute()
    client.post(path, **options)

    assert [row.http for row in rows(AuditEvent)] == [status] * 3
    assert coalesced_counts(rows(AuditEvent)) == ["3"]


def test_other_denials_of_an_admin_are_not_coalesced(client, viewer, rows, coalesces_early):
    for _ in range(5):
        client.post(QUICK_CLIENT, json=make_body(), headers=viewer)

    assert len(rows(AuditEvent, status="FORBIDDEN")) == 5


CHANGES = [
    "UPDATE audit_events SET actor = 'x'",
    "DELETE FROM audit_events",
    "TRUNCATE audit_events",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_the_service_role_cannot_change_audit_rows(app, statement):
    with app.app_context(), pytest.raises(DBAPIError, match="permission denied"):
        db.session.execute(text(statement))


@pytest.mark.parametrize("statement", CHANGES)
def test_the_owner_role_cannot_change_audit_rows(app, owner, statement):
    with owner.connect() as connection, pytest.raises(DBAPIError, match="is append-only"):
        connection.execute(text(statement))


@pytest.mark.parametrize("caller", ["operator", "viewer", None], indirect=True)
def test_mac_of_a_stored_row_is_valid(app, client, rows, caller):
    client.post(QUICK_CLIENT, json=make_body(), headers=caller.headers)

    [row] = rows(AuditEvent)

    with app.app_context():
        key = trail.get_keys()[0]
    assert (row.mac_key, row.mac) == (key.version, trail.compute_mac(signed(row), key.secret))


SIGNED = sorted({column.key for column in AuditEvent.__table__.columns} - {"id", "xid", "mac"})


@pytest.mark.parametrize("name", SIGNED)
def test_mac_of_a_changed_row_is_invalid(app, client, operator, rows, name):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    [row] = rows(AuditEvent)

    with app.app_context():
        key = trail.get_keys()[0]
    assert trail.compute_mac(signed(row) | {name: "changed"}, key.secret) != row.mac
    assert trail.compute_mac(signed(row) | {name: None}, key.secret) != row.mac


def test_mac_with_another_key_is_invalid(app, client, operator, rows):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    [row] = rows(AuditEvent)

    assert trail.compute_mac(signed(row), os.urandom(32)) != row.mac


def test_create_client_fails_without_an_audit_row(client, operator, rows, lines, closed_trail):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 503
    assert response.json["error"]["code"] == "audit_unavailable"
    assert response.headers["Retry-After"] == "5"
    assert rows(Client) == rows(AuditEvent) == lines() == []


@pytest.mark.own_database
def test_create_client_fails_if_the_commit_has_no_audit_row(
    client, operator, rows, lines, closed_trail
):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert (response.status_code, response.json["error"]["code"]) == (503, "audit_unavailable")
    assert rows(Client) == rows(AuditEvent) == lines() == []


def test_sign_in_fails_without_an_audit_row(app, client, rows, closed_trail):
    with app.app_context():
        make_admin()
        finish(commit=True)

    response = client.post(LOGIN, json={"email": "owner@desk.local", "password": PASSWORD})

    assert response.json["error"]["code"] == "audit_unavailable"
    assert rows(Session) == []


def test_a_denial_is_answered_even_if_its_row_cannot_be_written(client, caplog, closed_trail):
    response = client.post(LOGIN, json=UNKNOWN)

    assert (response.status_code, response.json["error"]["code"]) == (401, "wrong_credentials")
    assert "the audit row of a denial could not be stored" in caplog.text


def make_fifo(path):
    os.mkfifo(path)


def make_device(path):
    path.symlink_to("/dev/null")


@pytest.fixture(params=[Path.mkdir, make_fifo, make_device])
def no_file(request, app, tmp_path, monkeypatch):
    """Let something else be where the audit file is written to."""
    request.param(tmp_path / "audit.log")
    monkeypatch.setattr(get_file_handler(), "is_failing", False)
    monkeypatch.setattr(get_file_handler(), "baseFilename", str(tmp_path / "audit.log"))


@pytest.mark.usefixtures("no_file")
def test_an_unwritable_audit_file_does_not_fail_requests(client, operator, rows, capsys):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 201
    assert len(rows(Client)) == len(rows(AuditEvent)) == 1
    assert f"| {response.json['request_id']} |" in capsys.readouterr().err
    assert get_file_handler().is_writable() is False
    ready = client.get("/ready", headers=operator)
    assert (ready.status_code, ready.json["parts"]["audit_file"]) == (200, "not writable")


def test_an_audit_file_that_another_process_keeps_locked_does_not_block_requests(
    app, client, operator, lines, monkeypatch
):
    client.post(QUICK_CLIENT, json={}, headers=operator)
    monkeypatch.setattr(log_file, "DEADLINE_S", 0.2)
    with Path(app.config["AUDIT_LOG_FILE"]).open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        first, second = (client.post(QUICK_CLIENT, json={}, headers=operator) for _ in range(2))
        ready = client.get("/ready", headers=operator)
    monkeypatch.setattr(log_file, "DEADLINE_S", 120)

    def writes_again():
        client.post(QUICK_CLIENT, json={}, headers=operator)
        return not get_file_handler().is_failing

    wait_for(writes_again)

    assert (first.status_code, second.status_code) == (400, 400)
    assert (ready.status_code, ready.json["parts"]["audit_file"]) == (200, "not writable")
    late = {first.json["request_id"], second.json["request_id"]}
    assert late.isdisjoint(line.split(" | ")[2] for line in lines())


def test_record_escapes_characters_that_jsonb_cannot_store(app, rows, lines):
    with app.app_context():
        trail.record(Event.CLIENT_CREATED, make_actor(), facts={"name": "a\0b\ud800c"})
        finish(commit=True)

    assert [row.details for row in rows(AuditEvent)] == [{"name": "a\\x00b\\ud800c"}]
    assert lines()[0].endswith("name=a\\\\x00b\\\\ud800c")


@pytest.mark.parametrize(
    "path", ["/api/%00", "/api/%ff%fe", "/api/%ed%a0%80", "/api/%0a|%e2%80%a8"]
)
def test_unusual_paths_have_a_row(client, rows, path):
    response = client.post(path)

    assert response.status_code == 404
    assert [row.status for row in rows(AuditEvent)] == ["INVALID"]


def test_cli_rows_name_the_unix_user(app, rows):
    user = pwd.getpwuid(os.getuid()).pw_name
    seed = ["seed", "admin", "first@desk.local", "--password-stdin"]

    app.test_cli_runner().invoke(args=seed, input=f"{PASSWORD}\n")

    [row] = rows(AuditEvent)
    assert (row.event, row.actor) == ("admin.created", f"cli:{user}")
    assert (row.address, row.http, row.admin_id) == (None, None, None)
    [admin] = rows(Admin)
    assert row.details == {
        "admin": str(admin.id),
        "email": "first@desk.local",
        "role": "operator",
        "subject": f"admin:{admin.id}",
    }


def test_cli_rows_name_an_unnamed_user_by_number(app, rows, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    seed = ["seed", "admin", "first@desk.local", "--password-stdin"]

    app.test_cli_runner().invoke(args=seed, input=f"{PASSWORD}\n")

    assert [row.actor for row in rows(AuditEvent)] == ["cli:54321"]
    assert len(rows(Admin)) == 1


def test_a_denial_is_answered_even_if_it_cannot_be_counted(client, owner, urls):
    role = urls["service"].username
    with owner.connect() as connection:
        connection.execute(text(f"REVOKE ALL ON coalesced_denials FROM {role}"))

        response = client.post(QUICK_CLIENT, json=make_body())
        connection.execute(
            text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON coalesced_denials TO {role}")
        )

    assert (response.status_code, response.json["error"]["code"]) == (401, "unauthenticated")


def test_sign_in_purges_expired_denial_counters(client, operator, app, rows):
    with app.app_context():
        old = db.func.now() - db.func.make_interval(0, 0, 0, 0, 2)
        for caller, coalesced in (("ip:192.0.2.1", 0), ("ip:192.0.2.2", 3)):
            db.session.add(
                CoalescedDenials(caller=caller, window_at=old, denials=9, coalesced=coalesced)
            )
        db.session.commit()

    client.post(LOGIN, json={"email": "operator@desk.local", "password": PASSWORD})

    assert [row.caller for row in rows(CoalescedDenials)] == ["ip:192.0.2.2"]


def test_purge_deletes_a_batch_of_counters_at_a_time(app, rows, monkeypatch):
    monkeypatch.setattr(coalescing, "PURGE_BATCH", 2)
    with app.app_context():
        old = db.func.now() - db.func.make_interval(0, 0, 0, 0, 2)
        db.session.add_all(
            CoalescedDenials(caller=f"ip:{number}", window_at=old, denials=9, coalesced=0)
            for number in range(5)
        )
        left = []
        for _ in range(3):
            coalescing.purge()
            left.append(db.session.query(CoalescedDenials).count())

    assert left == [3, 1, 0]


def test_record_as_records_the_rows_of_another_instance_at_the_end(app, rows, lines):
    with app.app_context():
        client_id = make_client().id
        facts = [(client_id, {"n": "1"}), (client_id, {"n": "2"})]
        with trail.record_as("elsewhere"):
            trail.record(Event.CLIENT_UPDATED, ACTOR, facts={"n": "0"})
            trail.record_each(Event.CLIENT_MARKET_DELISTED, ACTOR, facts)
            make_client()
            before = db.session.scalars(select(AuditEvent).filter_by(instance="elsewhere")).all()
        finish(commit=True)

    recorded = sorted(rows(AuditEvent, instance="elsewhere"), key=lambda row: row.id)
    assert before == []
    assert [row.details.get("n") for row in recorded] == ["0", "1", "2", None]
    assert recorded[-1].event == "client.created"
    assert {row.proof for row in recorded} == {Proof.VALID}
    # The line of the client that this instance has created.
    assert len(lines()) == 1


def update_missing_client():
    trail.record(Event.CLIENT_UPDATED, ACTOR)
    raise NotFound("There is no such client.")


def test_record_as_records_nothing_if_the_block_raises(app, rows):
    with app.app_context():
        with pytest.raises(NotFound), trail.record_as("elsewhere"):
            update_missing_client()
        with trail.record_as("elsewhere"):
            pass
        finish(commit=True)

    assert rows(AuditEvent) == []
