"""The specification, walked top to bottom: each of its lines is a test, under its own heading."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Client
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body, make_wallet
from tests.paths import ROOT

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \| [A-Z_]+ \| [\w.-]+ \| \S+ \| \S+ \| \S.*", re.ASCII
)

# Features 1: the secure API endpoint


def test_admin_authentication_is_required(client, rows):
    response = client.post(QUICK_CLIENT, json=make_body())

    assert response.status_code == 401
    assert rows(Client) == []


def test_an_admin_has_20_creations_a_minute(client, operator):
    answers = [client.post(QUICK_CLIENT, json={}, headers=operator) for _ in range(21)]

    assert [answer.status_code for answer in answers] == [400] * 20 + [429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


def test_sql_in_a_field_is_text(client, operator, rows):
    name = "Robert'); DROP TABLE clients;--"

    client.post(QUICK_CLIENT, json=make_body(name=name), headers=operator)

    assert [row.name for row in rows(Client)] == [name]


def test_markup_never_gets_in(client, operator, rows):
    body = make_body(notes="<img src=x onerror=alert(1)>")

    response = client.post(QUICK_CLIENT, json=body, headers=operator)

    assert response.json["error"]["code"] == "markup_not_allowed"
    assert rows(Client) == []


def test_duplicate_checks_cost_one_statement(client, operator, statements):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert sum("EXECUTE insert_client" in one for one in statements) == 1
    assert not any("FROM clients" in one for one in statements if "PREPARE" not in one)


def test_connections_are_pooled(app):
    options = app.config["SQLALCHEMY_ENGINE_OPTIONS"]

    assert options["pool_size"] == app.config["THREADS"]


def test_the_indexes_are_there(app):
    with app.app_context():
        found = set(db.session.scalars(text("SELECT indexname FROM pg_indexes")))

    assert {
        "uq_clients_wallet_address",
        "uq_clients_email",
        "ix_audit_events_client_id_id",
        "ix_sessions_admin_id",
    } <= found


# Features 1: the audit trail


def test_the_trail_tells_request_time_admin_and_address(client, operator, lines):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    [line] = lines()
    assert LINE.fullmatch(line)
    for told in (
        response.json["request_id"],
        f"ms={response.json['metadata']['processing_time_ms']}",
        "operator@desk.local",
        "ip=127.0.0.1",
    ):
        assert told in line


def test_a_failure_rolls_everything_back(client, operator, rows, lines):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    client.post(QUICK_CLIENT, json=make_body(email="other@example.com"), headers=operator)

    assert len(rows(Client)) == 1
    assert [line.split(" | ")[1] for line in lines()] == ["SUCCESS", "DUPLICATE"]


# Features 3 and 4: limits, metrics


def test_general_calls_have_100_a_minute(client, viewer):
    path = "/api/admin/clients/00000000-0000-0000-0000-000000000000"

    statuses = [client.get(path, headers=viewer).status_code for _ in range(101)]

    assert statuses == [404] * 100 + [429]


def test_success_and_failure_rates_can_be_counted(client, operator, rows):
    for body in (make_body(), make_body(), make_body(name="")):
        client.post(QUICK_CLIENT, json=body, headers=operator)

    assert [row.status for row in rows(AuditEvent)] == ["SUCCESS", "DUPLICATE", "INVALID"]


# Usage: the curl and its answer


def test_the_documents_own_call_is_answered_in_its_own_shape(client, app, rows):
    with app.app_context():
        make_admin(email="admin@example.com")
        db.session.commit()
    signed_in = client.post(
        "/api/auth/login", json={"email": "admin@example.com", "password": PASSWORD}
    )
    headers = {"Authorization": f"Bearer {signed_in.json['access_token']}"}

    response = client.post(
        QUICK_CLIENT,
        data=json.dumps(make_body(wallet_address="0x52908400098527886E0F7030069857D2E4169EE7")),
        content_type="application/json",
        headers=headers,
    )

    assert response.status_code == 201
    assert response.json["message"] == "Client created successfully"
    assert response.json["client"]["status"] == "active"
    assert response.json["metadata"]["created_by"] == "admin@example.com"
    assert len(rows(Client)) == 1


def test_the_documents_placeholder_wallet_is_told_from_an_address(client, operator):
    body = make_body(wallet_address="0xWalletAddress")

    response = client.post(QUICK_CLIENT, json=body, headers=operator)

    assert response.status_code == 400
    assert "placeholder" in response.json["error"]["fields"]["wallet_address"][0]


# Security checklist: the lines not yet walked


@pytest.mark.parametrize("wallet", ["0x123", "hello", "0x" + "0" * 40])
def test_wallet_addresses_are_validated(client, operator, wallet):
    response = client.post(QUICK_CLIENT, json=make_body(wallet_address=wallet), headers=operator)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == ["wallet_address"]


@each("email", ["a", "a@", "@b", "a@b", "a b@c.de"])
def test_email_addresses_are_validated(client, operator, email):
    response = client.post(QUICK_CLIENT, json=make_body(email=email), headers=operator)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == ["email"]


# Designed for: 100+ clients, high concurrency (async, in the document's word)


@pytest.mark.own_database
def test_many_admins_are_served_at_once(app, sign_in, rows):
    operators = [sign_in("operator", email=f"o{n}@desk.local") for n in range(8)]
    bodies = [make_body(wallet_address=make_wallet(), email=None) for _ in range(8)]

    def create(n):
        return app.test_client().post(QUICK_CLIENT, json=bodies[n], headers=operators[n])

    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(create, range(8))]

    assert statuses == [201] * 8


# Production deployment


@pytest.mark.parametrize("name", ["DATABASE_URL", "SECRET_KEY", "CORS_ORIGINS"])
def test_its_three_variables_are_read(name):
    assert f'"{name}"' in (ROOT / "config.py").read_text()


def test_health_is_checked_without_signing_in(client):
    assert client.get("/health").status_code == 200


# Support: common issues


def test_each_common_issue_has_its_status_and_says_what_to_do(client, operator):
    invalid = client.post(QUICK_CLIENT, json={}, headers=operator)
    unauthorized = client.post(QUICK_CLIENT, json={}, headers={"Authorization": "Bearer x.y.z"})
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    duplicate = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert [one.status_code for one in (invalid, unauthorized, duplicate)] == [400, 401, 409]
    assert all(one.json["message"] for one in (invalid, unauthorized, duplicate))
