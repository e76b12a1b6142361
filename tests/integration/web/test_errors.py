import io
import json
import socket

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import BadRequest, Gone, HTTPVersionNotSupported, ServiceUnavailable

from pipelabs.core.db import db, finish
from pipelabs.core.errors import Duplicate, Forbidden, InvalidInput, NotFound, Unavailable
from pipelabs.models import AuditEvent, Client, Session
from pipelabs.web.errors import integrity
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body

LOGIN = "/api/auth/login"
LOGIN_BODY = {"email": "owner@desk.local", "password": PASSWORD}
CREATE = "pipelabs.clients.service.create_client"
FAILS_AT_COMMIT = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {}; RETURN NULL; END';
CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON clients DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fail();
"""
SERIALISATION = "RAISE serialization_failure"
LOST = "PERFORM pg_terminate_backend(pg_backend_pid())"
TAKEN = "RAISE unique_violation USING TABLE = ''clients'', CONSTRAINT = ''uq_clients_email''"
DANGLING = "RAISE foreign_key_violation USING MESSAGE = ''canary''"
INTERNALS = ("Traceback", 'File "', "psycopg2", "sqlalchemy", "SELECT", "INSERT", "canary")


@pytest.fixture
def owner(app):
    url = app.config["DATABASE_MIGRATION_URL"]
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


@pytest.fixture
def elsewhere(variant):
    return lambda **changes: variant(**changes).test_client()


@pytest.fixture
def commit_fails(request, owner):
    with owner.connect() as connection:
        connection.execute(text(FAILS_AT_COMMIT.format(request.param)))
        yield
        connection.execute(text("DROP FUNCTION fail CASCADE"))


@pytest.fixture
def clients_locked(owner):
    with owner.connect() as connection:
        connection.execute(text("BEGIN"))
        connection.execute(text("LOCK TABLE clients"))
        yield
        connection.execute(text("ROLLBACK"))


@pytest.fixture
def silent_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def failing(error):
    def fail(*_):
        raise error

    return fail


def told(response):
    assert list(response.json) == ["success", "message", "request_id", "error"]
    assert response.json["success"] is False
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    assert not [word for word in INTERNALS if word in response.text]
    return response.status_code, response.json["error"]["code"]


@each(
    ("method", "path", "sent", "answer"),
    [
        ("POST", QUICK_CLIENT, {"json": {}}, (400, "invalid_input")),
        ("GET", "/api/nowhere", {}, (404, "not_found")),
        ("GET", "/api/admin/nowhere", {}, (404, "not_found")),
        ("PATCH", QUICK_CLIENT, {}, (405, "method_not_allowed")),
        ("POST", QUICK_CLIENT, {"data": "x" * 300_000}, (413, "too_large")),
        ("POST", QUICK_CLIENT, {"data": "{}"}, (415, "unsupported_media_type")),
    ],
)
def test_every_refusal_has_the_envelope(client, operator, method, path, sent, answer):
    response = client.open(path, method=method, headers=operator, **sent)

    assert told(response) == answer


def test_a_refusal_for_want_of_a_token_says_which_kind_is_wanted(client):
    response = client.post(QUICK_CLIENT, json=make_body())

    assert told(response) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_another_method_is_told_the_right_ones(client, operator):
    response = client.delete(QUICK_CLIENT, headers=operator)

    assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_a_body_that_grows_too_large_as_it_comes_is_refused(client, operator, rows):
    body = json.dumps(make_body()).encode() + b" " * 300_000
    undeclared = {
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
    }

    response = client.post(QUICK_CLIENT, headers=operator, json={}, environ_overrides=undeclared)

    assert told(response) == (413, "too_large")
    assert [(row.status, row.http) for row in rows(AuditEvent)] == [("INVALID", 413)]


@each(
    ("error", "answer"),
    [
        (InvalidInput("No."), (400, "invalid_input")),
        (InvalidInput("No.", code="odd"), (400, "odd")),
        (Forbidden("No."), (403, "forbidden")),
        (NotFound("No."), (404, "not_found")),
        (Duplicate("No.", fields={}), (409, "duplicate")),
        (Unavailable("No.", code="vault_not_configured"), (503, "vault_not_configured")),
        (BadRequest("canary"), (400, "bad_request")),
        (Gone("canary"), (410, "bad_request")),
        (HTTPVersionNotSupported("canary"), (505, "internal")),
        (ServiceUnavailable("canary"), (503, "internal")),
        (RuntimeError("canary"), (500, "internal")),
        (KeyError("canary"), (500, "internal")),
    ],
)
def test_whatever_a_service_raises_has_the_envelope(client, operator, monkeypatch, error, answer):
    monkeypatch.setattr(CREATE, failing(error))

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert told(response) == answer
    assert (answer[0] == 503) == ("Retry-After" in response.headers)


def test_a_cause_that_nobody_foresaw_is_in_the_log_alone(client, operator, monkeypatch, caplog):
    monkeypatch.setattr(CREATE, failing(RuntimeError("canary")))

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert told(response) == (500, "internal")
    assert "RuntimeError: canary" in caplog.text
    assert "Traceback" in caplog.text


def test_a_statement_that_fails_shows_the_caller_nothing_of_it(
    client, operator, rows, monkeypatch, caplog
):
    def fail(*_):
        db.session.execute(text("SELECT nothing WHERE 'canary' = :value"), {"value": "canary"})

    monkeypatch.setattr(CREATE, fail)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert told(response) == (500, "internal")
    assert "UndefinedColumn" in caplog.text
    assert [row.status for row in rows(AuditEvent)] == ["ERROR"]


def test_a_unique_constraint_is_told_by_the_column_of_its_name(client, operator, rows, monkeypatch):
    def twin(*_):
        make_admin(email="twin@desk.local")
        make_admin(email="twin@desk.local")

    monkeypatch.setattr(CREATE, twin)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert told(response) == (409, "duplicate")
    assert response.json["error"]["fields"] == {"email": ["This value is already taken."]}
    assert [row.status for row in rows(AuditEvent)] == ["DUPLICATE"]


def test_another_constraint_is_a_fault_of_ours(client, operator, rows, monkeypatch, caplog):
    monkeypatch.setattr(CREATE, lambda *_: make_admin(email="UPPER@desk.local"))

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert told(response) == (500, "internal")
    assert "ck_admins_email_folded" in caplog.text
    assert [row.status for row in rows(AuditEvent)] == ["ERROR"]


def test_an_integrity_error_without_a_diagnosis_is_raised_again():
    error = IntegrityError("INSERT", {}, ValueError("not the driver's"))

    with pytest.raises(IntegrityError):
        integrity(error)


@pytest.mark.parametrize(("path", "body"), [(LOGIN, LOGIN_BODY), (QUICK_CLIENT, make_body())])
def test_without_postgresql_a_call_is_told_to_come_back(elsewhere, operator, path, body):
    client = elsewhere(SQLALCHEMY_DATABASE_URI="postgresql+psycopg2://canary@127.0.0.1:1/canary")

    response = client.post(path, json=body, headers=operator)

    assert told(response) == (503, "database_unavailable")
    assert response.headers["Retry-After"] == "5"


def test_a_postgresql_that_says_nothing_is_not_waited_for(elsewhere, silent_port):
    client = elsewhere(SQLALCHEMY_DATABASE_URI=f"postgresql+psycopg2://127.0.0.1:{silent_port}/x")

    response = client.post(LOGIN, json=LOGIN_BODY)

    assert told(response) == (503, "database_unavailable")


def test_an_empty_pool_is_told_as_a_busy_database(elsewhere):
    one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    client = elsewhere(SQLALCHEMY_ENGINE_OPTIONS=one)
    with client.application.app_context():
        taken = db.engine.connect()

    response = client.post(LOGIN, json=LOGIN_BODY)

    taken.close()
    assert told(response) == (503, "database_busy")
    assert response.headers["Retry-After"] == "5"


@pytest.mark.own_database
@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
def test_a_database_that_is_busy_is_told_and_noted(
    elsewhere, operator, rows, clients_locked, setting
):
    options = {"connect_args": {"options": f"-c {setting}=200"}}
    client = elsewhere(SQLALCHEMY_ENGINE_OPTIONS=options)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert told(response) == (503, "database_busy")
    assert response.headers["Retry-After"] == "5"
    assert [(row.status, row.http, row.event) for row in rows(AuditEvent)] == [
        ("ERROR", 503, "client.create_denied")
    ]


@pytest.mark.own_database
@pytest.mark.usefixtures("commit_fails")
@pytest.mark.parametrize(
    ("commit_fails", "answer", "noted"),
    [
        (SERIALISATION, (503, "database_busy"), ["ERROR"]),
        (LOST, (503, "database_unavailable"), []),
        (TAKEN, (409, "duplicate"), ["DUPLICATE"]),
        (DANGLING, (500, "internal"), ["ERROR"]),
    ],
    ids=["serialisation", "lost", "taken", "dangling"],
    indirect=["commit_fails"],
)
def test_a_commit_that_fails_is_no_success_anywhere(client, operator, rows, lines, answer, noted):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert told(response) == answer
    assert (answer[0] == 503) == ("Retry-After" in response.headers)
    assert "Location" not in response.headers
    assert rows(Client) == []
    assert [row.status for row in rows(AuditEvent)] == noted
    assert [line.split(" | ")[1] for line in lines()] == noted


@pytest.mark.own_database
def test_a_connection_that_died_unused_is_replaced_unnoticed(client, operator, owner):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    with owner.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pipelabs' AND datname = current_database()"
            )
        )

    response = client.get("/api/auth/me", headers=operator)

    assert response.status_code == 200


@pytest.mark.own_database
def test_a_session_that_is_not_committed_gives_no_token(app, client, owner, rows, monkeypatch):
    with app.app_context():
        make_admin()
        finish(commit=True)
    fail = FAILS_AT_COMMIT.format(SERIALISATION).replace("ON clients", "ON sessions")
    with owner.connect() as connection:
        connection.execute(text(fail))

        response = client.post(LOGIN, json=LOGIN_BODY)

        connection.execute(text("DROP FUNCTION fail CASCADE"))
    assert told(response) == (503, "database_busy")
    assert rows(Session) == []
