"""Calls by the hundred, made up from the document: valid ones, and wrong ones of every kind."""

import itertools
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from sqlalchemy import select

from pipelabs.accounts.api_tokens import create_token
from pipelabs.accounts.commands import NewToken
from pipelabs.approvals.service import request_approval
from pipelabs.core.db import db
from pipelabs.machines.service import describe
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import (
    ApprovalKind,
    AuditEvent,
    Market,
    Permission,
    Role,
    Stop,
    StopScope,
)
from tests.factories import (
    ACTOR,
    PASSWORD,
    QUICK_CLIENT,
    make_actor,
    make_admin,
    make_body,
    make_client,
    make_exchange,
    make_item,
    make_key,
    make_session,
    make_vault_keys,
    make_wallet,
)
from tests.integration.machines.rows import make_grant, make_machine
from tests.sizes import sized

# No schema can tell a wallet's checksum, nor that an e-mail address is taken.
UNTOLD = [positive_data_acceptance]
CREATES = {("POST", QUICK_CLIENT), ("POST", "/api/admin/clients")}
TOKEN = NewToken(
    name="Bot", permissions=[Permission.CLIENTS_READ], addresses=[], expires_in_days=30
)


@pytest.fixture
def service(variant):
    """Return the application with budgets that no test uses up."""
    raised = {f"RATELIMIT_{name}": "100000/minute" for name in ("CREATE", "BATCH", "GENERAL")}
    # Nothing listens there, so no exchange is ever asked.
    stub = {"EXCHANGE_BASE_URL": "http://127.0.0.1:1", "ENVIRONMENT": "staging"}
    return variant(VAULT_KEYS=make_vault_keys(), **stub, **raised)


@pytest.fixture
def document(service):
    return schemathesis.openapi.from_wsgi("/api/openapi.json", service)


@pytest.fixture
def records(service):
    """Return path parameter → id of a record that exists."""
    with service.app_context():
        key = make_key(client=make_client(), exchange=make_exchange().slug)
        admin = make_admin(email="other@desk.local", role=Role.VIEWER)
        [quoted] = add_client_markets(key.client_id, [make_item()], ACTOR)
        market = db.session.get_one(Market, quoted.market_id)
        token = create_token(
            TOKEN, make_actor(admin_id=admin.id, permissions=admin.role.permissions)
        )
        ids = {
            "client_id": key.client_id,
            "client_market_id": quoted.id,
            "market_id": market.id,
            "token_pair_id": market.token_pair_id,
            "key_id": key.id,
            "admin_id": admin.id,
            "token_id": token.token.id,
            "session_id": make_session(admin).id,
            "event_id": db.session.scalars(select(AuditEvent.id)).first(),
            "exchange": "okx",
            **machine_records(admin),
        }
        db.session.commit()
    return {name: str(value) for name, value in ids.items()}


def machine_records(admin):
    machine = make_machine(admin)
    stop = Stop(scope=StopScope.EVERYTHING, reason="a test", raised_by=admin.email)
    db.session.add(stop)
    approval = request_approval(
        ApprovalKind.MACHINE, machine.id, describe(machine), admin, make_actor()
    )
    grant = make_grant(machine)
    return {
        "machine_id": machine.id,
        "grant_id": grant.id,
        "stop_id": stop.id,
        "approval_id": approval.id,
    }


@pytest.fixture
def new_session(sign_in):
    """Return a maker of owners who are signed in, so that no call can end another one's session."""
    numbers = itertools.count()
    return lambda: sign_in(Role.OWNER, email=f"owner{next(numbers)}@desk.local")


def call(operation, mode, size, new_session, records):
    """Make calls up, judge each answer by the document, and return the statuses seen."""
    statuses: set[int] = set()
    numbers = itertools.count()

    def holds(case):
        # An empty list or object in a query string is not sent, so nothing is wrong with the call.
        assume(all(value not in ([], {}) for value in (case.query or {}).values()))
        if mode.is_positive:
            # Every second call is about a record that exists.
            names = case.path_parameters if next(numbers) % 2 == 0 else ()
            case.path_parameters.update({name: records[name] for name in names})
            if (case.method, case.path) in CREATES:
                case.body["wallet_address"] = make_wallet()
        # The library reads a body as it was sent.
        headers = new_session() | {"Accept-Encoding": "identity"}
        response = case.call_and_validate(headers=headers, excluded_checks=UNTOLD)
        assert response.status_code < 500
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
def test_every_answer_is_one_that_the_document_names(
    document, new_session, records, mode, expected, size
):
    operations = [found.ok() for found in document.get_all_operations()]

    statuses = [call(operation, mode, size, new_session, records) for operation in operations]

    assert len(operations) >= 50
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
