"""Calls by the hundred, made up from the document: valid ones, and wrong ones of every kind."""

from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pipelabs.models import Role
from tests.factories import (
    PASSWORD,
    QUICK_CLIENT,
    make_admin,
    make_body,
    make_vault_keys,
    make_wallet,
)
from tests.sizes import sized

# No schema can tell a wallet's checksum, nor that an e-mail address is taken.
UNTOLD = [positive_data_acceptance]


@pytest.fixture
def service(variant):
    """Return the application with budgets that no test uses up."""
    raised = {"RATELIMIT_CREATE": "100000/minute", "RATELIMIT_GENERAL": "100000/minute"}
    # No example of a key belongs to a client there is, so no exchange is ever asked.
    stub = {"EXCHANGE_BASE_URL": "http://127.0.0.1:1", "ENVIRONMENT": "staging"}
    return variant(VAULT_KEYS=make_vault_keys(), **stub, **raised)


@pytest.fixture
def document(service):
    return schemathesis.openapi.from_wsgi("/api/openapi.json", service)


def call(operation, mode, headers, size):
    """Make calls up, judge each answer by the document, and return the statuses seen."""
    statuses = set()

    def holds(case):
        # An empty list or object in a query string is not sent, so nothing is wrong with the call.
        assume(all(value not in ([], {}) for value in (case.query or {}).values()))
        if mode.is_positive and case.path == QUICK_CLIENT:
            case.body["wallet_address"] = make_wallet()
        response = case.call_and_validate(headers=headers, excluded_checks=UNTOLD)
        statuses.add(response.status_code)

    bounded = settings(max_examples=size, suppress_health_check=list(HealthCheck))
    # What takes neither fields nor a body cannot be called wrongly.
    with suppress(Unsatisfiable):
        bounded(given(case=operation.as_strategy(generation_mode=mode))(holds))()
    return statuses


@sized(3, 20)
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (GenerationMode.POSITIVE, {200, 201, 400, 401, 404}),
        (GenerationMode.NEGATIVE, {400, 404}),
    ],
)
def test_every_answer_is_one_that_the_document_names(document, sign_in, mode, expected, size):
    operations = [found.ok() for found in document.get_all_operations()]

    # Signed in anew for each, because some of them end the session.
    statuses = [
        call(operation, mode, sign_in(Role.OPERATOR, email=f"operator{number}@desk.local"), size)
        for number, operation in enumerate(operations)
    ]

    assert len(operations) >= 8
    assert set().union(*statuses) >= expected


def test_a_whole_day_of_answers_has_the_documented_shapes(app, document, service):
    caller = service.test_client()
    with app.app_context():
        make_admin(role=Role.OPERATOR, email="operator@desk.local")
        app.extensions["sqlalchemy"].session.commit()

    def called(method, path, template=None, **sent):
        response = caller.open(path, method=method, **sent)
        document[template or path][method].validate_response(response)
        return response

    who = {"email": "operator@desk.local", "password": PASSWORD}
    tokens = called("POST", "/api/auth/login", json=who).json
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    keyed = bearer | {"Idempotency-Key": "first"}
    made = [called("POST", QUICK_CLIENT, json=make_body(), headers=keyed) for _ in range(2)]
    taken = called("POST", QUICK_CLIENT, json=make_body(name="Another"), headers=bearer)
    shown = called("GET", made[0].location, "/api/admin/clients/{client_id}", headers=bearer)
    one = "/api/admin/clients/{client_id}"
    patched = called("PATCH", made[0].location, one, json={"name": "A"}, headers=bearer)
    where = f"{made[0].location}/status"
    moved = called("POST", where, f"{one}/status", json={"status": "paused"}, headers=bearer)
    listed = called("GET", "/api/admin/clients?q=a", "/api/admin/clients", headers=bearer)
    called("GET", "/api/auth/me", headers=bearer)
    refresh = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    called("POST", "/api/auth/refresh", headers=refresh)
    ended = [called("POST", "/api/auth/logout", headers=bearer) for _ in range(2)]

    assert [one.status_code for one in (*made, taken, shown, patched, moved, listed, *ended)] == [
        201,
        201,
        409,
        200,
        200,
        200,
        200,
        200,
        401,
    ]
