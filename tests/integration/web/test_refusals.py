import json
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipelabs.core.db import db
from pipelabs.core.errors import InProgress
from pipelabs.models import Role
from pipelabs.web.openapi import document
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body

LOGIN = "/api/auth/login"
REFRESH = "/api/auth/refresh"
SHOW = "/api/admin/clients/{client_id}"
NOBODY = UUID(int=0)


@pytest.fixture
def example(app):
    """Return a reader of the document's example of one error of one operation."""
    paths = json.loads(app.extensions[document.EXTENSION])["paths"]

    def read(path, method, status, code):
        media = paths[path][method]["responses"][str(status)]["content"]["application/json"]
        return media["examples"][code]["value"]

    return read


@pytest.fixture
def holds(example):
    """Return a judge: is this what the document's example says, but for the ids?"""

    def judge(response, path, method="post"):
        told = response.json
        shown = example(path, method, response.status_code, told["error"]["code"])
        different = {"request_id": "", "error": told["error"] | {"existing": ""}}
        expected = {"request_id": "", "error": shown["error"] | {"existing": ""}}
        return told | different == shown | expected

    return judge


@each(
    ("sent", "code"),
    [
        ({"json": {}}, "invalid_input"),
        ({"data": "{", "content_type": "application/json"}, "invalid_json"),
        ({"data": "x" * 300_000}, "too_large"),
        ({"data": "{}"}, "unsupported_media_type"),
    ],
)
@each("path", [QUICK_CLIENT, LOGIN])
def test_a_bad_body_is_refused_as_shown(client, operator, holds, path, sent, code):
    response = client.post(path, headers=operator, **sent)

    assert response.json["error"]["code"] == code
    assert holds(response, path)


def test_a_stranger_is_refused_as_shown(client, holds):
    assert holds(client.post(QUICK_CLIENT, json=make_body()), QUICK_CLIENT)
    assert holds(client.get(SHOW.format(client_id=NOBODY)), SHOW, "get")
    assert holds(client.get("/api/auth/me"), "/api/auth/me", "get")


def test_a_role_that_may_not_is_refused_as_shown(client, viewer, holds):
    assert holds(client.post(QUICK_CLIENT, json=make_body(), headers=viewer), QUICK_CLIENT)


def test_what_is_not_there_is_refused_as_shown(client, viewer, holds):
    assert holds(client.get(SHOW.format(client_id=NOBODY), headers=viewer), SHOW, "get")


def test_a_taken_wallet_is_refused_as_shown(client, operator, holds):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    response = client.post(QUICK_CLIENT, json=make_body(email=None), headers=operator)

    assert response.status_code == 409
    assert set(response.json["error"]["existing"]) == {"wallet_address"}
    assert holds(response, QUICK_CLIENT)


def test_a_key_in_use_is_refused_as_shown(client, operator, holds):
    headers = operator | {"Idempotency-Key": "first"}
    client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    reused = client.post(QUICK_CLIENT, json=make_body(name="Another"), headers=headers)

    assert reused.status_code == 422
    assert holds(reused, QUICK_CLIENT)


def test_used_up_budgets_are_refused_as_shown(variant, operator, holds):
    other = variant(RATELIMIT_CREATE="1/minute").test_client()
    other.post(QUICK_CLIENT, json={}, headers=operator)

    response = other.post(QUICK_CLIENT, json={}, headers=operator)

    assert response.status_code == 429
    assert holds(response, QUICK_CLIENT)


def test_sign_in_is_refused_as_shown(app, client, holds):
    body = {"email": "nobody@desk.local", "password": PASSWORD}

    misses = [client.post(LOGIN, json=body) for _ in range(6)]

    assert [miss.status_code for miss in misses] == [401] * 5 + [429]
    assert all(holds(miss, LOGIN) for miss in misses)


def test_a_refresh_token_that_is_none_or_used_is_refused_as_shown(app, client, holds):
    with app.app_context():
        make_admin(role=Role.VIEWER, email="viewer@desk.local")
        db.session.commit()
    tokens = client.post(LOGIN, json={"email": "viewer@desk.local", "password": PASSWORD}).json
    bearer = {"Authorization": f"Bearer {tokens['refresh_token']}"}

    none, *used = [client.post(REFRESH, headers=headers) for headers in ({}, bearer, bearer)]

    assert [none.status_code, *(one.status_code for one in used)] == [401, 200, 401]
    assert holds(none, REFRESH)
    assert holds(used[1], REFRESH)


@each(
    ("error", "status"),
    [
        (InProgress("The first request with this Idempotency-Key still runs."), 409),
        (RuntimeError("canary"), 500),
        (OperationalError("", {}, Exception()), 503),
        (PoolTimeout(), 503),
    ],
)
def test_what_goes_wrong_here_is_answered_as_shown(
    client, operator, holds, monkeypatch, error, status
):
    def fail(*_):
        raise error

    monkeypatch.setattr("pipelabs.clients.service.create_client", fail)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == status
    assert holds(response, QUICK_CLIENT)
