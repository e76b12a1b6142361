from datetime import datetime

import pytest

from pipelabs.core.db import db
from pipelabs.core.pagination import encode_cursor
from pipelabs.models import AuditEvent, Exchange, Role
from tests.each import each
from tests.factories import make_exchange

EXCHANGES = "/api/admin/exchanges"
OKX = f"{EXCHANGES}/okx"
CONFIG = {
    "maker_fee_bps": "2",
    "taker_fee_bps": "5.5",
    "min_notional": None,
    "requests_per_minute": 600,
}


@pytest.fixture
def owner(sign_in):
    return sign_in(Role.OWNER, email="owner@desk.local")


@pytest.fixture(autouse=True)
def seeded(app):
    """The exchanges of the registry; Gate is disabled."""
    with app.app_context():
        make_exchange("gate", is_enabled=False)
        db.session.commit()


def noted(rows):
    return [(row.status, row.event) for row in rows(AuditEvent)][1:]


def test_list_exchanges_returns_rows_and_a_page(client, viewer):
    response = client.get(f"{EXCHANGES}?q=OKEX&kind=Both&is_enabled=true&size=25", headers=viewer)

    assert response.status_code == 200
    assert list(response.json) == ["success", "request_id", "data", "page"]
    [okx] = response.json["data"]
    assert okx == client.get(OKX, headers=viewer).json["exchange"]
    assert response.json["page"] == {
        "next": None,
        "previous": None,
        "total": 1,
        "is_capped": False,
    }


def test_list_exchanges_is_paged_by_cursors(client, viewer):
    where = {"size": "100"}

    first = client.get(EXCHANGES, query_string=where, headers=viewer).json
    where["cursor"] = first["page"]["next"]
    second = client.get(EXCHANGES, query_string=where, headers=viewer).json

    assert len(first["data"]) == 100
    assert second["data"][-1]["slug"] == "zebpay"
    assert second["page"]["previous"]


def test_list_exchanges_filters_disabled_ones(client, viewer):
    response = client.get(f"{EXCHANGES}?is_enabled=false", headers=viewer)

    assert [one["slug"] for one in response.json["data"]] == [
        "ascendex",
        "bitmart",
        "bitmex",
        "coinex",
        "gate",
        "probit",
    ]


@each(
    ("query", "fields"),
    [
        ("colour=red", {"colour"}),
        ("q=a&q=b", {"q"}),
        ("q=%00", {"q"}),
        ("kind=margin&is_enabled=yes&size=101", {"kind", "is_enabled", "size"}),
        (f"cursor={encode_cursor('>s:a')}", {"cursor"}),
        ("is_enabled=", {"is_enabled"}),
    ],
)
def test_list_exchanges_names_every_wrong_parameter(client, viewer, query, fields):
    response = client.get(f"{EXCHANGES}?{query}", headers=viewer)

    assert (response.status_code, response.json["error"]["code"]) == (400, "invalid_input")
    assert set(response.json["error"]["fields"]) == fields


def test_show_exchange_returns_all_fields_and_an_etag(client, viewer):
    response = client.get(OKX, headers=viewer)

    assert (response.status_code, response.headers["ETag"]) == (200, '"1"')
    exchange = response.json["exchange"]
    assert exchange.pop("created_at") == exchange.pop("updated_at")
    assert exchange == {
        "slug": "okx",
        "name": "OKX",
        "kind": "both",
        "website": "https://www.okx.com",
        "docs_url": "https://www.okx.com/docs-v5/en",
        "symbol_style": "dash",
        "credentials": ["api_key", "api_secret", "passphrase"],
        "aliases": ["okex", "okex5"],
        "needs_passphrase": True,
        "has_testnet": True,
        "can_be_probed": True,
        "is_enabled": True,
        "config": dict.fromkeys(CONFIG),
        "version": 1,
    }
    counts = response.json["counts"]
    assert datetime.fromisoformat(counts.pop("counted_at"))
    assert counts == {"markets": 0, "clients": 0, "api_keys": 0}


@pytest.mark.parametrize("name", ["okex", "OKX"])
def test_show_exchange_accepts_an_alias(client, viewer, name):
    response = client.get(f"{EXCHANGES}/{name}", headers=viewer)

    assert response.json["exchange"]["slug"] == "okx"


@each("name", ["bittrex", "%00", "%E2%80%AE", "x" * 300, "1"])
def test_show_exchange_returns_404_for_an_unknown_name(client, owner, name):
    path = f"{EXCHANGES}/{name}"

    answers = [
        client.get(path, headers=owner),
        client.patch(path, json={"is_enabled": False}, headers=owner),
    ]

    assert [(one.status_code, one.json["error"]["code"]) for one in answers] == [
        (404, "not_found")
    ] * 2


def test_update_exchange_records_old_and_new_settings(client, owner, rows):
    response = client.patch(OKX, json={"config": CONFIG}, headers=owner | {"If-Match": '"1"'})

    assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
    assert response.json["exchange"]["config"] == CONFIG
    [row] = rows(Exchange, slug="okx")
    assert row.config == {"maker_fee_bps": "2", "taker_fee_bps": "5.5", "requests_per_minute": 600}
    *_, event = rows(AuditEvent)
    assert (event.event, event.actor) == ("exchange.configured", "owner@desk.local")
    assert event.details["changed"] == "maker_fee_bps,requests_per_minute,taker_fee_bps"
    assert event.details["to_taker_fee_bps"] == "5.5"


def test_update_exchange_with_an_empty_config_unsets_everything(client, owner, rows):
    client.patch(OKX, json={"config": CONFIG}, headers=owner)

    response = client.patch(OKX, json={"config": {}}, headers=owner)

    assert response.json["exchange"]["config"] == dict.fromkeys(CONFIG)
    assert [row.config for row in rows(Exchange, slug="okx")] == [{}]


def test_update_exchange_disables_and_enables(client, owner, rows):
    off = client.patch(OKX, json={"is_enabled": False}, headers=owner)
    on = client.patch(OKX, json={"is_enabled": True}, headers=owner)

    assert [one.json["exchange"]["is_enabled"] for one in (off, on)] == [False, True]
    assert noted(rows) == [("SUCCESS", "exchange.disabled"), ("SUCCESS", "exchange.enabled")]


@pytest.mark.parametrize(
    ("match", "status"), [('"1"', 200), ("*", 200), ('"2"', 412), ("1", 400), ('W/"1"', 200)]
)
def test_update_exchange_rejects_a_stale_if_match(client, owner, rows, match, status):
    sent = {"headers": owner | {"If-Match": match}}

    response = client.patch(OKX, json={"is_enabled": False}, **sent)

    assert response.status_code == status
    assert [row.is_enabled for row in rows(Exchange, slug="okx")] == [status != 200]
    refused = [("INVALID", "exchange.change_denied")]
    assert noted(rows) == (refused if status != 200 else [("SUCCESS", "exchange.disabled")])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"is_enabled", "config"}),
        ({"config": []}, {"config"}),
        ({"config": None}, {"config"}),
        ({"name": "X", "slug": "y"}, {"name", "slug"}),
        (
            {"is_enabled": 1, "config": {"maker_fee_bps": 2, "requests_per_minute": 0, "x": 1}},
            {"is_enabled", "config.maker_fee_bps", "config.requests_per_minute", "config.x"},
        ),
    ],
)
def test_update_exchange_names_every_wrong_field_by_its_path(client, owner, rows, body, fields):
    response = client.patch(OKX, json=body, headers=owner)

    assert (response.status_code, response.json["error"]["code"]) == (400, "invalid_input")
    found = response.json["error"]["fields"]
    assert set(found) == fields
    assert all(isinstance(one, str) for told in found.values() for one in told)
    assert noted(rows) == [("INVALID", "exchange.change_denied")]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_update_exchange_is_only_for_owners(client, sign_in, rows, role):
    who = sign_in(role, email="who@desk.local")

    refused = client.patch(OKX, json={"is_enabled": False}, headers=who)

    assert client.get(OKX, headers=who).status_code == 200
    assert (refused.status_code, refused.json["error"]["code"]) == (403, "forbidden")
    assert [row.version for row in rows(Exchange, slug="okx")] == [1]
    assert noted(rows) == [("FORBIDDEN", "exchange.change_denied")]
