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
from pipelabs.web.errors import from_integrity_error
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
def client_of(variant):
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


def raiser(error):
    def fail(*_):
        raise error

    return fail


def error_of(response):
    assert list(response.json) == ["success", "message", "request_id", "error"]
    assert response.json["success"] is False
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    assert not [word for word in INTERNALS if word in response.text]
    return response.status_code, response.json["error"]["code"]


@each(
    ("method", "path", "options", "expected"),
    [
        ("POST", QUICK_CLIENT, {"json": {}}, (400, "invalid_input")),
        ("GET", "/api/nowhere", {}, (404, "not_found")),
        ("GET", "/api/admin/nowhere", {}, (404, "not_found")),
        ("PATCH", QUICK_CLIENT, {}, (405, "method_not_allowed")),
        ("POST", QUICK_CLIENT, {"data": "x" * 300_000}, (413, "too_large")),
        ("POST", QUICK_CLIENT, {"data": "{}"}, (415, "unsupported_media_type")),
    ],
)
def test_errors_of_flask_have_the_envelope(client, operator, method, path, options, expected):
    response = client.open(path, method=method, headers=operator, **options)

    assert error_of(response) == expected


def test_missing_token_response_has_www_authenticate(client):
    response = client.post(QUICK_CLIENT, json=make_body())

    assert error_of(response) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_method_not_allowed_response_lists_the_allowed_methods(client, operator):
    response = client.delete(QUICK_CLIENT, headers=operator)

    assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_chunked_body_over_the_limit_is_413(client, operator, rows):
    body = json.dumps(make_body()).encode() + b" " * 300_000
    undeclared = {
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
    }

    response = client.post(QUICK_CLIENT, headers=operator, json={}, environ_overrides=undeclared)

    assert error_of(response) == (413, "too_large")
    assert [(row.status, row.http) for row in rows(AuditEvent)] == [("INVALID", 413)]


@each(
    ("error", "expected"),
    [
        (InvalidInput("No."), (400, "invalid_input")),
        (InvalidInput("No.", code="wrong_password"), (400, "wrong_password")),
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
def test_errors_of_services_have_the_envelope(client, operator, monkeypatch, error, expected):
    monkeypatch.setattr(CREATE, raiser(error))

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert error_of(response) == expected
    assert (expected[0] == 503) == ("Retry-After" in response.headers)


def test_unexpected_error_is_logged_but_not_disclosed(client, operator, monkeypatch, caplog):
    monkeypatch.setattr(CREATE, raiser(RuntimeError("canary")))

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert error_of(response) == (500, "internal")
    assert "RuntimeError: canary" in caplog.text
    assert "Traceback" in caplog.text


def test_failed_statement_is_logged_but_not_disclosed(client, operator, rows, monkeypatch, caplog):
    def fail(*_):
        db.session.execute(text("SELECT nothing WHERE 'canary' = :value"), {"value": "canary"})

    monkeypatch.setattr(CREATE, fail)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert error_of(response) == (500, "internal")
    assert "UndefinedColumn" in caplog.text
    assert [row.status for row in rows(AuditEvent)] == ["ERROR"]


def test_unique_violation_is_409_naming_the_column(client, operator, rows, monkeypatch):
    def add_duplicate(*_):
        make_admin(email="twin@desk.local")
        make_admin(email="twin@desk.local")

    monkeypatch.setattr(CREATE, add_duplicate)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert error_of(response) == (409, "duplicate")
    assert response.json["error"]["fields"] == {"email": ["This value is already taken."]}
    assert [row.status for row in rows(AuditEvent)] == ["DUPLICATE"]


def test_check_violation_is_500(client, operator, rows, monkeypatch, caplog):
    monkeypatch.setattr(CREATE, lambda *_: make_admin(email="UPPER@desk.local"))

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert error_of(response) == (500, "internal")
    assert "ck_admins_email_folded" in caplog.text
    assert [row.status for row in rows(AuditEvent)] == ["ERROR"]


def test_from_integrity_error_raises_errors_without_a_diagnosis():
    error = IntegrityError("INSERT", {}, ValueError("not the driver's"))

    with pytest.raises(IntegrityError):
        from_integrity_error(error)


@pytest.mark.parametrize(("path", "body"), [(LOGIN, LOGIN_BODY), (QUICK_CLIENT, make_body())])
def test_unreachable_postgresql_is_503_with_retry_after(client_of, operator, path, body):
    client = client_of(SQLALCHEMY_DATABASE_URI="postgresql+psycopg2://canary@127.0.0.1:1/canary")

    response = client.post(path, json=body, headers=operator)

    assert error_of(response) == (503, "database_unavailable")
    assert response.headers["Retry-After"] == "5"


def test_unresponsive_postgresql_is_503_after_the_timeout(client_of, silent_port):
    client = client_of(SQLALCHEMY_DATABASE_URI=f"postgresql+psycopg2://127.0.0.1:{silent_port}/x")

    response = client.post(LOGIN, json=LOGIN_BODY)

    assert error_of(response) == (503, "database_unavailable")


def test_exhausted_pool_is_503_database_busy(client_of):
    pool_of_one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    client = client_of(SQLALCHEMY_ENGINE_OPTIONS=pool_of_one)
    with client.application.app_context():
        connection = db.engine.connect()

    response = client.post(LOGIN, json=LOGIN_BODY)

    connection.close()
    assert error_of(response) == (503, "database_busy")
    assert response.headers["Retry-After"] == "5"


@pytest.mark.own_database
@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
def test_database_timeout_is_503_with_an_audit_row(
    client_of, operator, rows, clients_locked, setting
):
    options = {"connect_args": {"options": f"-c {setting}=200"}}
    client = client_of(SQLALCHEMY_ENGINE_OPTIONS=options)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert error_of(response) == (503, "database_busy")
    assert response.headers["Retry-After"] == "5"
    assert [(row.status, row.http, row.event) for row in rows(AuditEvent)] == [
        ("ERROR", 503, "client.create_denied")
    ]


@pytest.mark.own_database
@pytest.mark.usefixtures("commit_fails")
@pytest.mark.parametrize(
    ("commit_fails", "expected", "outcomes"),
    [
        (SERIALISATION, (503, "database_busy"), ["ERROR"]),
        (LOST, (503, "database_unavailable"), []),
        (TAKEN, (409, "duplicate"), ["DUPLICATE"]),
        (DANGLING, (500, "internal"), ["ERROR"]),
    ],
    ids=["serialisation", "lost", "taken", "dangling"],
    indirect=["commit_fails"],
)
def test_failed_commit_is_an_error_in_response_audit_and_log(
    client, operator, rows, lines, expected, outcomes
):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert error_of(response) == expected
    assert (expected[0] == 503) == ("Retry-After" in response.headers)
    assert "Location" not in response.headers
    assert rows(Client) == []
    assert [row.status for row in rows(AuditEvent)] == outcomes
    assert [line.split(" | ")[1] for line in lines()] == outcomes


@pytest.mark.own_database
def test_dead_pooled_connection_is_replaced(client, operator, owner):
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
def test_login_returns_no_token_if_the_commit_fails(app, client, owner, rows, monkeypatch):
    with app.app_context():
        make_admin()
        finish(commit=True)
    fail = FAILS_AT_COMMIT.format(SERIALISATION).replace("ON clients", "ON sessions")
    with owner.connect() as connection:
        connection.execute(text(fail))

        response = client.post(LOGIN, json=LOGIN_BODY)

        connection.execute(text("DROP FUNCTION fail CASCADE"))
    assert error_of(response) == (503, "database_busy")
    assert rows(Session) == []
