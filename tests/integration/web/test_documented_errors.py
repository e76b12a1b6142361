from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipelabs.core.db import db
from pipelabs.core.errors import InProgress
from pipelabs.models import Role
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body
from tests.openapi import resolve

LOGIN = "/api/auth/login"
REFRESH = "/api/auth/refresh"
SHOW = "/api/admin/clients/{client_id}"
UNKNOWN_ID = UUID(int=0)


@pytest.fixture
def example(app):
    """Return a function that reads the example of an error of an operation from the document."""
    document = app.test_client().get("/api/openapi.json").json
    paths = resolve(document, document["paths"])

    def read(path, method, status, code):
        media = paths[path][method]["responses"][str(status)]["content"]["application/json"]
        return media["examples"][code]["value"]

    return read


@pytest.fixture
def matches(example):
    """Return a function that compares a response with its example, except for the ids."""

    def without_ids(body):
        return body | {"request_id": "", "error": body["error"] | {"existing": ""}}

    def compare(response, path, method="post"):
        code = response.json["error"]["code"]
        documented = example(path, method, response.status_code, code)
        return without_ids(response.json) == without_ids(documented)

    return compare


@each(
    ("options", "code"),
    [
        ({"json": {}}, "invalid_input"),
        ({"data": "{", "content_type": "application/json"}, "invalid_json"),
        ({"data": "x" * 300_000}, "too_large"),
        ({"data": "{}"}, "unsupported_media_type"),
    ],
)
@each("path", [QUICK_CLIENT, LOGIN])
def test_invalid_body_error_matches_the_document(client, operator, matches, path, options, code):
    response = client.post(path, headers=operator, **options)

    assert response.json["error"]["code"] == code
    assert matches(response, path)


def test_unauthenticated_error_matches_the_document(client, matches):
    assert matches(client.post(QUICK_CLIENT, json=make_body()), QUICK_CLIENT)
    assert matches(client.get(SHOW.format(client_id=UNKNOWN_ID)), SHOW, "get")
    assert matches(client.get("/api/auth/me"), "/api/auth/me", "get")


def test_forbidden_error_matches_the_document(client, viewer, matches):
    assert matches(client.post(QUICK_CLIENT, json=make_body(), headers=viewer), QUICK_CLIENT)


def test_not_found_error_matches_the_document(client, viewer, matches):
    assert matches(client.get(SHOW.format(client_id=UNKNOWN_ID), headers=viewer), SHOW, "get")


def test_duplicate_error_matches_the_document(client, operator, matches):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    response = client.post(QUICK_CLIENT, json=make_body(email=None), headers=operator)

    assert response.status_code == 409
    assert set(response.json["error"]["existing"]) == {"wallet_address"}
    assert matches(response, QUICK_CLIENT)


def test_idempotency_key_reused_error_matches_the_document(client, operator, matches):
    headers = operator | {"Idempotency-Key": "first"}
    client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    reused = client.post(QUICK_CLIENT, json=make_body(name="Another"), headers=headers)

    assert reused.status_code == 422
    assert matches(reused, QUICK_CLIENT)


def test_rate_limited_error_matches_the_document(variant, operator, matches):
    other = variant(RATELIMIT_CREATE="1/minute").test_client()
    other.post(QUICK_CLIENT, json={}, headers=operator)

    response = other.post(QUICK_CLIENT, json={}, headers=operator)

    assert response.status_code == 429
    assert matches(response, QUICK_CLIENT)


def test_login_errors_match_the_document(app, client, matches):
    body = {"email": "nobody@desk.local", "password": PASSWORD}

    failures = [client.post(LOGIN, json=body) for _ in range(6)]

    assert [failure.status_code for failure in failures] == [401] * 5 + [429]
    assert all(matches(failure, LOGIN) for failure in failures)


def test_refresh_errors_match_the_document(app, client, matches):
    with app.app_context():
        make_admin(role=Role.VIEWER, email="viewer@desk.local")
        db.session.commit()
    tokens = client.post(LOGIN, json={"email": "viewer@desk.local", "password": PASSWORD}).json
    bearer = {"Authorization": f"Bearer {tokens['refresh_token']}"}

    missing, *renewals = [client.post(REFRESH, headers=headers) for headers in ({}, bearer, bearer)]

    statuses = [response.status_code for response in (missing, *renewals)]
    assert statuses == [401, 200, 401]
    assert matches(missing, REFRESH)
    assert matches(renewals[1], REFRESH)


@each(
    ("error", "status"),
    [
        (
            InProgress(
                "The first request with this Idempotency-Key is still running. Try again later."
            ),
            409,
        ),
        (RuntimeError("canary"), 500),
        (OperationalError("", {}, Exception()), 503),
        (PoolTimeout(), 503),
    ],
)
def test_server_errors_match_the_document(client, operator, matches, monkeypatch, error, status):
    def fail(*_):
        raise error

    monkeypatch.setattr("pipelabs.clients.service.create_client", fail)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == status
    assert matches(response, QUICK_CLIENT)
