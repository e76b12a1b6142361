"""What each event is about, also if the attempt was denied."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import OperationalError

from pipelabs.audit import subjects, trail
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind, Place
from pipelabs.audit.trail import Attempt
from pipelabs.core.db import unit_of_work
from pipelabs.models import AuditEvent, ClientMarket, Outcome
from tests.each import each
from tests.factories import (
    ANONYMOUS,
    QUICK_CLIENT,
    add_client,
    make_actor,
    make_body,
    make_exchange,
)

ID = str(uuid4())
CLIENT_ID = uuid4()


def subject_of(event, facts=(), client_id=None, actor=ANONYMOUS):
    placed, client_id = subjects.place(event, dict(facts), client_id, actor)
    return placed.get("subject"), client_id


@each(
    ("event", "facts", "subject"),
    [
        (Event.ADMIN_ROLE_CHANGED, {"admin": ID}, f"admin:{ID}"),
        (Event.API_KEY_REVOKED, {"key": ID, "exchange": "okx"}, f"api_key:{ID}"),
        (Event.API_TOKEN_REVOKED, {"api_token": ID, "admin": "x"}, f"api_token:{ID}"),
        (Event.APPROVAL_APPROVED, {"approval": ID}, f"approval:{ID}"),
        (Event.CLIENT_MARKET_UPDATED, {"client_market": ID, "market": "x"}, f"client_market:{ID}"),
        (Event.CLIENT_MARKET_ADDED, {"count": "3"}, f"client:{CLIENT_ID}"),
        (Event.EXCHANGE_DISABLED, {"exchange": "okx"}, "exchange:okx"),
        (Event.LEASE_GRANTED, {"lease": ID, "key": "x", "machine": "y"}, f"lease:{ID}"),
        (Event.MARKET_CREATE_DENIED, {"exchange": "okx"}, f"client:{CLIENT_ID}"),
        (Event.STOP_RAISED, {"stop": ID, "key": "x"}, f"stop:{ID}"),
        (Event.VAULT_ROTATED, {"version": "2"}, "vault:2"),
    ],
)
def test_the_noun_of_an_event_decides_its_subject(event, facts, subject):
    assert subject_of(event, facts, CLIENT_ID) == (subject, CLIENT_ID)


def test_place_takes_the_client_from_the_facts():
    assert subject_of(Event.GRANT_ENDED, {"grant": ID, "client_id": str(CLIENT_ID)})[1] == CLIENT_ID
    assert subject_of(Event.GRANT_ENDED, {"grant": ID, "client_id": "nonsense"})[1] is None


def test_place_finds_the_caller_if_the_event_is_about_it():
    actor = make_actor()
    machine = make_actor(admin_id=None, machine_id=uuid4())

    assert subject_of(Event.ADMIN_SIGNED_IN, actor=actor)[0] == f"admin:{actor.admin_id}"
    assert subject_of(Event.LEASE_DENIED, actor=machine)[0] == f"machine:{machine.machine_id}"
    assert subject_of(Event.ADMIN_CREATE_DENIED, actor=actor)[0] is None
    assert subject_of(Event.REQUEST_DENIED)[0] is None


@each(
    ("text", "parsed"),
    [
        ("market:1", (Kind.MARKET, "1")),
        ("exchange:okx", (Kind.EXCHANGE, "okx")),
        ("market:", None),
        ("market", None),
        ("nothing:1", None),
    ],
)
def test_parse_reads_a_subject(text, parsed):
    assert subjects.parse(text) == parsed


def test_find_place_of_what_does_not_exist_is_empty(app):
    with app.app_context():
        for kind in Kind:
            assert subjects.find_place(kind, str(uuid4())) == Place()
        assert subjects.find_place(Kind.MARKET, "nonsense") == Place()


@pytest.fixture
def market(client, operator, app, rows):
    """Return a market of a new client: the ids of client, client market and market."""
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator).json["client"]
    with app.app_context(), unit_of_work():
        make_exchange("okx")
    body = {"markets": [{"symbol": "BTC/USDT", "exchange": "okx"}]}
    path = f"/api/admin/clients/{created['id']}/markets"
    assert client.post(path, json=body, headers=operator).status_code == 201
    [row] = rows(ClientMarket)
    return created["id"], str(row.id), str(row.market_id)


def test_a_denied_update_names_its_client_and_exchange(client, operator, viewer, rows, market):
    client_id, client_market_id, market_id = market
    calls = (
        (f"/api/admin/clients/{client_id}", "client.update_denied", f"client:{client_id}", None),
        (
            f"/api/admin/markets/{market_id}",
            "market.update_denied",
            f"market:{market_id}",
            "okx",
        ),
        (
            f"/api/admin/clients/{client_id}/markets/{client_market_id}",
            "client_market.update_denied",
            f"client_market:{client_market_id}",
            "okx",
        ),
    )
    for path, event, subject, exchange in calls:
        assert client.patch(path, json={"nonsense": 1}, headers=viewer).status_code == 403
        [row] = rows(AuditEvent, event=event)
        assert row.details["subject"] == subject
        assert row.details.get("exchange") == exchange
        assert (str(row.client_id) == client_id) is (event != "market.update_denied")


def test_a_rejected_creation_names_what_was_sent(client, operator, rows):
    client_id = str(uuid4())
    body = {"client_id": client_id, "exchange": "OKX", "label": "main", "api_key": 7}

    response = client.post("/api/admin/api-keys", json=body, headers=operator)

    assert response.status_code == 400
    [row] = rows(AuditEvent, event="api_key.create_denied")
    assert (str(row.client_id), row.details["exchange"]) == (client_id, "okx")
    assert row.details["subject"] == f"client:{client_id}"


def test_a_rejected_creation_names_what_it_would_have_been_called(client, operator, rows):
    for _ in range(2):
        client.post("/api/admin/token-pairs", json={"symbol": "BTC/USDT"}, headers=operator)
    client.post(QUICK_CLIENT, json=make_body(wallet_address="nonsense"), headers=operator)

    [row] = rows(AuditEvent, event="client.create_denied")
    assert row.details["name"] == "Client Name"
    [row] = rows(AuditEvent, event="token_pair.create_denied")
    assert row.details["symbol"] == "BTC/USDT"


def test_an_anonymous_attempt_names_only_what_its_path_has(client, rows):
    client_id = str(uuid4())

    client.patch(f"/api/admin/clients/{client_id}", json=make_body())

    [row] = rows(AuditEvent)
    assert row.details["subject"] == f"client:{client_id}"
    assert {"name", "email"}.isdisjoint(row.details)


def test_an_exchange_in_a_path_is_named_by_its_slug(client, viewer, rows):
    client.patch("/api/admin/exchanges/gate.io", json={}, headers=viewer)
    client.patch("/api/admin/exchanges/nonsense", json={}, headers=viewer)

    first, second = rows(AuditEvent, event="exchange.change_denied")
    assert first.details["subject"] == "exchange:gate"
    assert "subject" not in second.details


def test_an_error_of_the_look_up_leaves_the_denial_as_it_is(app, rows, monkeypatch):
    def fail(subject_id):
        raise OperationalError("select", {}, Exception("gone"))

    monkeypatch.setitem(subjects._finders, Kind.MARKET, fail)
    attempt = Attempt(Event.MARKET_UPDATE_DENIED, Outcome.FORBIDDEN, 403, {"market": ID})
    with app.app_context(), unit_of_work():
        trail.record_denied(attempt, make_actor())

    [row] = rows(AuditEvent)
    assert row.details["subject"] == f"market:{ID}"


def test_every_row_of_a_bulk_creation_has_a_subject(app, rows):
    with app.app_context(), unit_of_work():
        actor = make_actor()
        facts = [(None, {"market": ID}), (CLIENT_ID, {"market": ID})]
        trail.record_each(Event.MARKET_CREATED, actor, facts)

    assert {row.details["subject"] for row in rows(AuditEvent)} == {f"market:{ID}"}
    assert [row.client_id for row in rows(AuditEvent)] == [None, CLIENT_ID]
    assert {row.proof for row in rows(AuditEvent)} == {"valid"}


def test_filters_find_events_by_subject_and_exchange(client, viewer, rows, market):
    client_id, client_market_id, market_id = market
    events = "/api/admin/audit-events"

    def found(**filters):
        page = client.get(events, query_string=filters, headers=viewer)
        return {row["event"] for row in page.json["data"]}

    assert found(subject=f"market:{market_id}") == {"market.created"}
    assert found(subject=f"client_market:{client_market_id}") == {"client_market.added"}
    assert found(exchange="OKX") == {"market.created", "client_market.added"}
    assert found(client_id=client_id) == {"client.created", "client_market.added"}
    for wrong in ({"subject": "nonsense"}, {"exchange": "no exchange"}):
        assert client.get(events, query_string=wrong, headers=viewer).status_code == 400
    assert UUID(client_id)


def test_a_denied_request_of_a_deleted_thing_names_its_id(client, operator, rows):
    client.patch(f"/api/admin/markets/{ID}", json={"status": "halted"}, headers=operator)

    [row] = rows(AuditEvent)
    assert (row.details["subject"], row.details["code"]) == (f"market:{ID}", "not_found")


def test_add_client_is_about_the_client(app, rows):
    with app.app_context(), unit_of_work():
        added = add_client()
        client_id = added.id

    [row] = rows(AuditEvent)
    assert row.details["subject"] == f"client:{client_id}"
