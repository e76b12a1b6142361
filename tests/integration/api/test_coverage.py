import pytest

from pipelabs.core.db import db
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import Role
from tests.each import each
from tests.factories import (
    ACTOR,
    make_client,
    make_exchange,
    make_item,
    make_key,
    make_probe_result,
)

COVERAGE = "/api/admin/coverage"


@pytest.fixture
def acme(app, ring):
    """Acme is quoted on okx and mexc, with a quarantined key on mexc."""
    with app.app_context():
        make_exchange()
        client = make_client(name="Acme")
        items = [make_item(), make_item("ETH/USDT"), make_item(exchange="mexc")]
        add_client_markets(client.id, items, ACTOR)
        key = make_key(client, exchange="mexc", result=make_probe_result())
        db.session.commit()
        return {"client": str(client.id), "key": str(key.id)}


def test_coverage_lists_clients_with_their_cells(client, operator, acme):
    body = client.get(COVERAGE, headers=operator).json

    assert body["data"] == [
        {
            "client": {"id": acme["client"], "name": "Acme"},
            "cells": [
                {
                    "exchange": "mexc",
                    "markets": 1,
                    "coverage": "key_unusable",
                    "key_id": acme["key"],
                    "key_problem": "quarantined",
                },
                {
                    "exchange": "okx",
                    "markets": 2,
                    "coverage": "no_key",
                    "key_id": None,
                    "key_problem": None,
                },
            ],
            "markets": 3,
            "gaps": 2,
        }
    ]
    assert body["exchanges"] == ["mexc", "okx"]
    assert body["counts"] == {"covered": 0, "key_unusable": 1, "no_key": 1, "not_quoted": 0}
    assert body["page"] == {"next": None, "previous": None, "total": 1, "is_capped": False}


@each(
    ("query", "exchanges"),
    [
        ("q=acm", ["mexc", "okx"]),
        ("exchange=OKX", ["okx"]),
        ("pair=eth-usdt", ["okx"]),
        ("status=gap", ["mexc", "okx"]),
        ("status=no_key", ["okx"]),
        ("status=covered", []),
    ],
)
def test_coverage_takes_filters(client, operator, acme, query, exchanges):
    assert client.get(f"{COVERAGE}?{query}", headers=operator).json["exchanges"] == exchanges


@each(
    ("query", "field"),
    [("status=green", "status"), ("exchange=nyse", "exchange"), ("size=0", "size"), ("x=1", "x")],
)
def test_coverage_names_wrong_filters(client, operator, query, field):
    response = client.get(f"{COVERAGE}?{query}", headers=operator)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == [field]


def test_coverage_needs_its_own_permission(client, sign_in, acme):
    """It says something about markets and about keys, so a token for one of them is not enough."""
    owner = sign_in(Role.OWNER, email="owner@desk.local")

    def call(*permissions):
        body = {"name": "Desk", "permissions": list(permissions)}
        token = client.post("/api/admin/tokens", json=body, headers=owner).json["token"]
        return client.get(COVERAGE, headers={"Authorization": f"Bearer {token}"}).status_code

    assert call("token_pairs.read", "api_keys.read") == 403
    assert call("coverage.read") == 200


def test_coverage_sends_the_same_statements_for_any_number_of_clients(
    app, client, operator, acme, statements
):
    client.get(COVERAGE, headers=operator)
    statements.clear()
    client.get(COVERAGE, headers=operator)
    first = len(statements)
    with app.app_context():
        for _ in range(5):
            another = make_client()
            add_client_markets(another.id, [make_item(), make_item(exchange="gate")], ACTOR)
            make_key(another)
        db.session.commit()
    statements.clear()

    assert len(client.get(COVERAGE, headers=operator).json["data"]) == 6
    assert len(statements) == first


def test_matrix_call_is_gone(client, operator):
    assert client.get("/api/admin/matrix", headers=operator).status_code == 404
