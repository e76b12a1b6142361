"""One commit per request, but for a short list of named cases."""

import json

import pytest
from sqlalchemy import event

from pipelabs.core.db import AuditedSession
from pipelabs.models import Role
from pipelabs.web.openapi import document
from pipelabs.web.operation import SAFE_METHODS, registry
from tests.factories import PASSWORD, QUICK_CLIENT, make_body

RAISED = {f"RATELIMIT_{name}": "5000/second" for name in ("CREATE", "GENERAL", "CONSOLE")}
VALUES = {"uuid": "31113ba9-d54f-4b34-8877-19e7dc1b7084", "int": 7, "string": "okx"}
KINDS = {"UUIDConverter": "uuid", "IntegerConverter": "int", "UnicodeConverter": "string"}
THROTTLED = {"api.auth.login", "api.auth.change_password"}
"""They reserve the attempt before they look at the password, in a transaction of its own."""


@pytest.fixture
def commits():
    """Return the number of commits since it was last asked."""
    counted = []

    def count(session):
        if not session.in_nested_transaction():
            counted.append(session)

    def take():
        taken = len(counted)
        counted.clear()
        return taken

    event.listen(AuditedSession, "after_commit", count)
    yield take
    event.remove(AuditedSession, "after_commit", count)


def routes(app, prefix):
    """Yield endpoint, method and address of every route of an entrance."""
    adapter = app.url_map.bind("localhost")
    for endpoint, operation in registry(app).items():
        if endpoint.startswith(prefix):
            [rule] = app.url_map.iter_rules(endpoint)
            kinds = {name: KINDS[type(kind).__name__] for name, kind in rule._converters.items()}
            values = {name: VALUES[kind] for name, kind in kinds.items()}
            yield endpoint, operation.method, adapter.build(endpoint, values), rule


def examples(app):
    """Return the example body of each operation of the API, by method and path."""
    paths = json.loads(app.extensions[document.EXTENSION])["paths"]
    return {
        (method, path): operation["requestBody"]["content"]["application/json"]["example"]
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }


def test_every_call_of_the_api_commits_at_most_once(app, variant, sign_in, commits):
    other = variant(**RAISED)
    client, bodies = other.test_client(), examples(app)
    seen = {}

    for number, (endpoint, method, address, rule) in enumerate(routes(app, "api.")):
        headers = sign_in(Role.OWNER, email=f"owner{number}@desk.local")
        path = rule.rule.replace("<uuid:", "{").replace("<string:", "{").replace("<int:", "{")
        body = bodies.get((method.lower(), path.replace(">", "}")))
        commits()
        answer = client.open(address, method=method, headers=headers, json=body)
        expected = 0 if method in SAFE_METHODS else 1 + (endpoint in THROTTLED)
        assert commits() == expected, (endpoint, answer.status_code)
        seen[answer.status_code] = endpoint

    assert {200, 201, 404} <= set(seen)


def test_every_page_commits_at_most_once(app, console, variant, commits):
    browser = console(Role.OWNER, email="owner@desk.local")
    browser.client.application = variant(**RAISED)
    skipped = {"admin.auth.sign_in", "admin.auth.logout", "admin.account.change_password"}

    for endpoint, method, address, _ in routes(app, "admin."):
        if endpoint in skipped:
            continue
        browser.get("/admin/account")
        commits()
        answer = browser.get(address) if method == "GET" else browser.post(address)
        expected = {0} if method == "GET" else {0, 1}
        assert commits() in expected, (endpoint, answer.status_code)


def test_a_creation_with_a_key_commits_once_and_so_does_its_replay(client, operator, commits):
    headers = operator | {"Idempotency-Key": "first"}
    commits()

    for body in (make_body(), make_body(), make_body(email=None)):
        client.post(QUICK_CLIENT, json=body, headers=headers)
        assert commits() == 1


def test_a_replayed_refresh_token_ends_its_session_in_a_commit_of_its_own(
    app, client, console, commits
):
    console(Role.VIEWER, email="viewer@desk.local")
    body = {"email": "viewer@desk.local", "password": PASSWORD}
    token = client.post("/api/auth/login", json=body).json["refresh_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    client.post("/api/auth/refresh", headers=bearer)
    commits()

    client.post("/api/auth/refresh", headers=bearer)

    assert commits() == 2
