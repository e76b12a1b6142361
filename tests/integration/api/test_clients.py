import json
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import update

from pipelabs.clients.service import create_client
from pipelabs.clients.wallets import Wallet
from pipelabs.core.db import db, finish
from pipelabs.core.pagination import encode_cursor
from pipelabs.models import AuditEvent, Client
from pipelabs.models.clients import Chain
from tests.each import each
from tests.factories import (
    QUICK_CLIENT,
    WALLET,
    make_actor,
    make_body,
    make_new_client,
    make_wallet,
)

CLIENTS = "/api/admin/clients"

OTHER_WALLET = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def test_quick_client_response_matches_the_specification(client, operator, rows):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 201
    [row] = rows(Client)
    assert list(response.json) == ["success", "message", "request_id", "client", "metadata"]
    assert response.json == {
        "success": True,
        "message": "Client created successfully",
        "request_id": response.headers["X-Request-ID"],
        "client": {
            "id": str(row.id),
            "name": "Client Name",
            "wallet_address": WALLET,
            "email": "email@example.com",
            "tier": "Premium",
            "status": "active",
            "created_at": f"{row.created_at:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        },
        "metadata": {
            "created_by": "operator@desk.local",
            "processing_time_ms": response.json["metadata"]["processing_time_ms"],
        },
    }
    assert isinstance(response.json["metadata"]["processing_time_ms"], float)
    assert re.fullmatch("[0-9a-f]{8}", response.json["request_id"])
    assert response.headers["Location"] == f"/api/admin/clients/{row.id}"


def test_quick_client_audit_row_and_line_match_the_response(client, operator, rows, lines):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    [row] = rows(AuditEvent)
    assert (row.status, row.event, row.http) == ("SUCCESS", "client.created", 201)
    assert row.ms == response.json["metadata"]["processing_time_ms"]
    [line] = lines()
    fields = line.split(" | ")
    assert fields[1:5] == [
        "SUCCESS",
        response.json["request_id"],
        "operator@desk.local",
        response.json["client"]["id"],
    ]
    assert f"http=201 ip=127.0.0.1 ms={row.ms} id={row.id} " in fields[5]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name", "wallet_address"}),
        ({"name": None, "wallet_address": None}, {"name", "wallet_address"}),
        (make_body(extra=1), {"extra"}),
        (make_body(id="x", status="active", created_by="me"), {"id", "status", "created_by"}),
        (
            make_body(client={"id": 1}, __class__="x", metadata={"created_by": "me"}),
            {"client", "__class__", "metadata"},
        ),
        (
            make_body(name=1, email=2, tier=3, notes=4, wallet_address=5),
            {"name", "email", "tier", "notes", "wallet_address"},
        ),
    ],
)
def test_quick_client_names_every_wrong_field(client, operator, rows, body, fields):
    response = client.post(QUICK_CLIENT, json=body, headers=operator)

    assert response.status_code == 400
    assert set(response.json["error"]["fields"]) == fields
    assert rows(Client) == []
    assert [row.status for row in rows(AuditEvent)] == ["INVALID"]


def test_quick_client_optional_fields_can_be_absent_or_null(client, operator):
    absent = {"name": "A", "wallet_address": make_wallet()}
    null = {
        "name": "B",
        "wallet_address": make_wallet(),
        "email": None,
        "tier": None,
        "notes": None,
    }

    answers = [client.post(QUICK_CLIENT, json=body, headers=operator) for body in (absent, null)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert all(answer.json["client"]["email"] is None for answer in answers)
    assert all(answer.json["client"]["tier"] == "Standard" for answer in answers)


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"email": "other@example.com"}, {"wallet_address"}),
        ({"email": "EMAIL@example.com", "wallet_address": OTHER_WALLET}, {"email"}),
        ({"wallet_address": WALLET.lower()}, {"wallet_address", "email"}),
    ],
)
def test_quick_client_duplicate_names_every_taken_field_and_its_client(
    client, operator, rows, changes, taken
):
    first = client.post(QUICK_CLIENT, json=make_body(), headers=operator).json["client"]["id"]

    response = client.post(QUICK_CLIENT, json=make_body(**changes), headers=operator)

    assert response.status_code == 409
    assert response.json["error"]["code"] == "duplicate"
    assert set(response.json["error"]["fields"]) == taken
    assert response.json["error"]["existing"] == dict.fromkeys(taken, first)
    assert len(rows(Client)) == 1
    assert [row.status for row in rows(AuditEvent)] == ["SUCCESS", "DUPLICATE"]


def test_quick_client_duplicate_can_name_two_clients(client, operator):
    one = client.post(QUICK_CLIENT, json=make_body(email=None), headers=operator)
    two = client.post(QUICK_CLIENT, json=make_body(wallet_address=make_wallet()), headers=operator)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.json["error"]["existing"] == {
        "wallet_address": one.json["client"]["id"],
        "email": two.json["client"]["id"],
    }


@pytest.mark.parametrize(
    "name",
    [
        "AT&T",
        "O'Brien & Sons",
        "<3",
        "<10k",
        "{{7*7}}",
        "a < b",
        "Robert'); DROP TABLE clients;--",
        "木村 Trading",
        "👩‍💻",
    ],
)
def test_quick_client_returns_text_as_typed(client, operator, rows, name):
    response = client.post(QUICK_CLIENT, json=make_body(name=name), headers=operator)

    assert response.status_code == 201
    assert response.json["client"]["name"] == rows(Client)[0].name == name


def test_quick_client_rejects_markup_and_quotes_it(client, operator):
    body = make_body(name="x<script>alert(1)</script>")

    response = client.post(QUICK_CLIENT, json=body, headers=operator)

    assert (response.status_code, response.json["error"]["code"]) == (400, "markup_not_allowed")
    assert "<script>" in response.json["error"]["fields"]["name"][0]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": ""}, 415),
        ({"data": "{}", "content_type": "text/plain"}, 415),
        ({"data": "{}", "content_type": "application/json; charset=utf-16"}, 415),
        (
            {
                "data": "{}",
                "content_type": "application/json",
                "headers": {"Content-Encoding": "gzip"},
            },
            415,
        ),
        ({"data": "", "content_type": "application/json"}, 400),
        ({"data": "{name:", "content_type": "application/json"}, 400),
        ({"data": "[]", "content_type": "application/json"}, 400),
        (
            {
                "data": json.dumps(make_body(notes="x" * 300_000)),
                "content_type": "application/json",
            },
            413,
        ),
    ],
)
def test_quick_client_rejects_other_bodies(client, operator, rows, sent, status):
    sent["headers"] = operator | sent.get("headers", {})

    response = client.post(QUICK_CLIENT, **sent)

    assert response.status_code == status
    assert response.json["success"] is False
    assert rows(Client) == []
    assert [(row.status, row.http) for row in rows(AuditEvent)] == [("INVALID", status)]


def test_viewers_can_read_but_not_create_clients(client, viewer, operator, rows):
    made = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    refused = client.post(QUICK_CLIENT, json=make_body(), headers=viewer)
    shown = client.get(made.headers["Location"], headers=viewer)

    assert (refused.status_code, refused.json["error"]["code"]) == (403, "forbidden")
    assert shown.status_code == 200
    assert [row.status for row in rows(AuditEvent)] == ["SUCCESS", "FORBIDDEN"]


def test_show_client_returns_all_fields_and_an_etag(client, operator):
    made = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    response = client.get(made.headers["Location"], headers=operator)

    assert response.headers["ETag"] == '"1"'
    assert response.json["client"] == made.json["client"] | {
        "chain": "evm",
        "notes": "High volume trader",
        "settings": {"token_pairs": []},
        "version": 1,
        "updated_at": made.json["client"]["created_at"],
    }


def test_show_client_returns_304_for_the_current_etag(client, operator):
    made = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    response = client.get(made.headers["Location"], headers=operator | {"If-None-Match": '"1"'})

    assert (response.status_code, response.data) == (304, b"")


@pytest.mark.parametrize("path", [f"/api/admin/clients/{UUID(int=7)}", "/api/admin/clients/1"])
def test_show_client_returns_404_for_an_unknown_id(client, operator, path):
    response = client.get(path, headers=operator)

    assert (response.status_code, response.json["error"]["code"]) == (404, "not_found")


@pytest.fixture
def shown(client, operator):
    """Return the path of a client that was just created."""
    return client.post(QUICK_CLIENT, json=make_body(), headers=operator).headers["Location"]


def test_list_clients_returns_rows_and_a_page(client, viewer, operator, shown):
    response = client.get(f"{CLIENTS}?q=NAME&tier=premium&size=25", headers=viewer)

    assert response.status_code == 200
    assert list(response.json) == ["success", "request_id", "data", "page"]
    one = client.get(shown, headers=viewer).json["client"]
    assert response.json["data"] == [one]
    assert response.json["page"] == {
        "next": None,
        "previous": None,
        "total": 1,
        "is_capped": False,
    }


def test_list_clients_is_paged_by_cursors(client, operator, app):
    with app.app_context():
        for number in range(26):
            wallet = Wallet(Chain.EVM, make_wallet())
            data = make_new_client(name=f"Client {number:02}", wallet_address=wallet, email=None)
            create_client(data, make_actor())
        finish(commit=True)
    where = {"sort": "name", "size": "25"}

    first = client.get(CLIENTS, query_string=where, headers=operator).json
    where["cursor"] = first["page"]["next"]
    second = client.get(CLIENTS, query_string=where, headers=operator).json

    assert [len(page["data"]) for page in (first, second)] == [25, 1]
    assert second["data"][0]["name"] == "Client 25"
    assert second["page"]["previous"]


@pytest.fixture
def by_year(app, client, operator):
    """Clients that were created in the years 2020 to 2022 and changed five years later.

    Return name → wallet.
    """
    wallets = {}
    for year in (2020, 2021, 2022):
        body = make_body(name=str(year), wallet_address=make_wallet(), email=None)
        made = client.post(QUICK_CLIENT, json=body, headers=operator).json["client"]
        wallets[made["name"]] = made["wallet_address"]
        times = {
            "created_at": datetime(year, 6, 15, 12, tzinfo=UTC),
            "updated_at": datetime(year + 5, 6, 15, 12, tzinfo=UTC),
        }
        with app.app_context():
            db.session.execute(update(Client).where(Client.id == UUID(made["id"])).values(times))
            db.session.commit()
    return wallets


@each(
    ("query", "names"),
    [
        ("", ["2020", "2021", "2022"]),
        ("created_since=2021-06-15", ["2021", "2022"]),
        ("created_since=2021-06-15T12:00:00.000Z", ["2021", "2022"]),
        ("created_since=2021-06-15T12:00:01Z", ["2022"]),
        ("created_until=2021-06-15", ["2020", "2021"]),
        ("created_until=2021-06-15T12:00:00Z", ["2020"]),
        ("created_since=2021-06-15&created_until=2021-06-15", ["2021"]),
        ("created_since=2021-06-15T14:00:00%2B02:00&created_until=2021-06-16", ["2021"]),
        ("created_since=2023-01-01", []),
        ("updated_since=2026-06-15", ["2021", "2022"]),
        ("updated_until=2025-06-15", ["2020"]),
        ("updated_since=2026-01-01&created_until=2021-12-31", ["2021"]),
    ],
)
def test_list_clients_filters_by_time(client, viewer, by_year, query, names):
    response = client.get(f"{CLIENTS}?sort=name&{query}", headers=viewer)

    assert [one["name"] for one in response.json["data"]] == names
    assert response.json["page"]["total"] == len(names)


def test_list_clients_finds_a_wallet_in_any_spelling(client, viewer, by_year):
    wallet = by_year["2021"]
    for spelling in (wallet, wallet.lower(), f"0x{wallet[2:].upper()}", f"%20{wallet}%0A"):
        response = client.get(f"{CLIENTS}?wallet_address={spelling}", headers=viewer)

        assert [one["name"] for one in response.json["data"]] == ["2021"], spelling
    part = client.get(f"{CLIENTS}?wallet_address={wallet[:20]}", headers=viewer)
    other = client.get(f"{CLIENTS}?wallet_address={make_wallet()}", headers=viewer)
    assert (part.status_code, other.json["data"]) == (400, [])


@each(
    ("query", "fields"),
    [
        ("wallet_address=0x0", {"wallet_address"}),
        (f"wallet_address={WALLET.swapcase()}", {"wallet_address"}),
        ("wallet_address=", {"wallet_address"}),
        ("created_since=yesterday&created_until=20261125", {"created_since", "created_until"}),
        ("updated_since=1795387620&updated_until=", {"updated_since", "updated_until"}),
        ("colour=red", {"colour"}),
        ("q=a&q=b", {"q"}),
        ("q=%00", {"q"}),
        ("q=%FF", {"q"}),
        ("tier=gold&status=gone&chain=doge", {"tier", "status", "chain"}),
        ("sort=email&size=101", {"sort", "size"}),
        ("cursor=x", {"cursor"}),
        (f"cursor={encode_cursor('>s:a~s:b')}", {"cursor"}),
        ("tier=", {"tier"}),
    ],
)
def test_list_clients_names_every_wrong_parameter(client, viewer, query, fields):
    response = client.get(f"{CLIENTS}?{query}", headers=viewer)

    assert (response.status_code, response.json["error"]["code"]) == (400, "invalid_input")
    assert set(response.json["error"]["fields"]) == fields


@each("notes", [None, "", "  \n "])
def test_empty_notes_are_null_in_and_out(client, operator, shown, rows, notes):
    client.patch(shown, json={"notes": "something"}, headers=operator)

    changed = client.patch(shown, json={"notes": notes}, headers=operator)

    assert changed.json["client"]["notes"] is None
    assert client.get(shown, headers=operator).json["client"]["notes"] is None
    again = client.patch(shown, json={"notes": None}, headers=operator)
    assert again.headers["ETag"] == changed.headers["ETag"]


def test_update_client_returns_the_new_version(client, operator, shown, rows):
    body = {"name": "Other", "email": None, "tier": "Basic", "notes": "a\nb"}

    response = client.patch(shown, json=body, headers=operator | {"If-Match": '"1"'})

    assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
    [row] = rows(Client)
    assert response.json["client"] == client.get(shown, headers=operator).json["client"]
    assert (row.name, row.email, row.tier, row.notes) == ("Other", None, "Basic", "a\nb")
    assert [one.event for one in rows(AuditEvent)] == ["client.created", "client.updated"]


@pytest.mark.parametrize(
    ("match", "status"),
    [
        ('"1"', 200),
        ("*", 200),
        ('"2"', 412),
        ('W/"2"', 412),
        # As proxies send it on that compress the response.
        ('W/"1"', 200),
        ('"1-gzip"', 200),
        ('"1;gzip"', 200),
        ('W/"1-0123abcd-br"', 200),
        ('"1-0123abcd-zstd"', 200),
        ('"1-deflated"', 400),
        ('w/"1"', 400),
        ("1", 400),
        ('"1", "2"', 400),
        ('"0"', 400),
        ("", 400),
        ('"999999999999"', 400),
    ],
)
def test_update_client_rejects_a_stale_if_match(client, operator, shown, rows, match, status):
    sent = {"headers": operator | {"If-Match": match}}

    update = client.patch(shown, json={"name": "Other"}, **sent)

    assert update.status_code == status
    assert [row.name for row in rows(Client)] == ["Other" if status == 200 else "Client Name"]
    outcome = "SUCCESS" if status == 200 else "INVALID"
    assert [row.status for row in rows(AuditEvent)][1] == outcome


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"wallet_address": WALLET}, {"wallet_address"}),
        ({"status": "paused", "version": 1}, {"status", "version"}),
        ({"name": "<b>x</b>", "tier": None}, {"name", "tier"}),
    ],
)
def test_update_client_names_every_wrong_field(client, operator, shown, rows, body, fields):
    response = client.patch(shown, json=body, headers=operator)

    assert response.status_code == 400
    assert set(response.json["error"]["fields"]) == fields
    assert [row.event for row in rows(AuditEvent)][1] == "client.update_denied"


def test_update_client_duplicate_names_the_other_client(client, operator, shown):
    body = make_body(wallet_address=make_wallet(), email="other@example.com")
    client.post(QUICK_CLIENT, json=body, headers=operator)

    response = client.patch(shown, json={"email": "OTHER@example.com"}, headers=operator)

    assert (response.status_code, response.json["error"]["code"]) == (409, "duplicate")
    other = client.get(f"{CLIENTS}?q=other@", headers=operator).json["data"][0]["id"]
    assert response.json["error"]["existing"] == {"email": other}


def test_change_status_is_idempotent(client, operator, shown, rows):
    keyed = operator | {"Idempotency-Key": "once", "If-Match": '"1"'}

    first, again = [
        client.post(f"{shown}/status", json={"status": "paused"}, headers=keyed) for _ in "12"
    ]

    assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
    assert first.json["client"]["status"] == "paused"
    assert (again.data, again.headers["ETag"]) == (first.data, '"2"')
    assert [row.version for row in rows(Client)] == [2]
    assert [row.event for row in rows(AuditEvent)][1:] == [
        "client.status_changed",
        "client.status_change_replayed",
    ]


def test_change_status_replays_a_conflict(client, operator, shown, rows):
    keyed = operator | {"Idempotency-Key": "once"}

    answers = [
        client.post(f"{shown}/status", json={"status": "active"}, headers=keyed) for _ in "12"
    ]

    assert [one.status_code for one in answers] == [409, 409]
    assert answers[0].json["error"]["code"] == "invalid_transition"
    assert [(row.status, row.event) for row in rows(AuditEvent)][1:] == [
        ("INVALID", "client.status_change_denied"),
        ("INVALID", "client.status_change_replayed"),
    ]


def test_update_client_rejects_an_offboarded_client(client, operator, shown):
    client.post(f"{shown}/status", json={"status": "offboarded"}, headers=operator)

    update = client.patch(shown, json={"name": "Other"}, headers=operator)
    move = client.post(f"{shown}/status", json={"status": "active"}, headers=operator)

    assert [one.json["error"]["code"] for one in (update, move)] == ["invalid_transition"] * 2


def test_viewers_cannot_change_clients(client, viewer, shown, rows):
    update = client.patch(shown, json={"name": "Other"}, headers=viewer)
    move = client.post(f"{shown}/status", json={"status": "paused"}, headers=viewer)

    assert [update.status_code, move.status_code] == [403, 403]
    assert [row.version for row in rows(Client)] == [1]


def test_client_changes_return_404_for_an_unknown_id(client, operator):
    path = f"{CLIENTS}/{UUID(int=7)}"

    update = client.patch(path, json={}, headers=operator)
    move = client.post(f"{path}/status", json={"status": "paused"}, headers=operator)

    assert [update.status_code, move.status_code] == [404, 404]
