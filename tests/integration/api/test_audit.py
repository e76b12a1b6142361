import pytest

from pipelabs.models import AuditEvent
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

EVENTS = "/api/admin/audit-events"


@pytest.fixture
def created(client, operator):
    """Return the response to creating a client."""
    return client.post(QUICK_CLIENT, json=make_body(), headers=operator).json


def test_show_event_has_every_column(client, viewer, created, rows):
    [row] = rows(AuditEvent)

    response = client.get(f"{EVENTS}/{row.id}", headers=viewer)

    assert response.status_code == 200
    assert response.json["audit_event"] == {
        "id": str(row.id),
        "at": f"{row.at:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        "instance": row.instance,
        "admin_id": str(row.admin_id),
        "actor": "operator@desk.local",
        "address": "127.0.0.1",
        "request_id": created["request_id"],
        "status": "SUCCESS",
        "event": "client.created",
        "client_id": created["client"]["id"],
        "http": 201,
        "ms": row.ms,
        "details": row.details,
        "proof": "valid",
    }


def test_show_event_has_the_line_of_the_file(client, viewer, lines, created, rows):
    [row] = rows(AuditEvent)

    response = client.get(f"{EVENTS}/{row.id}", headers=viewer)

    assert [response.json["line"]] == lines()


def test_list_events_applies_filters(client, viewer, operator, created):
    client.post(QUICK_CLIENT, json={}, headers=operator)
    wanted = {"event": "client.created", "request_id": created["request_id"], "size": 25}

    response = client.get(EVENTS, query_string=wanted, headers=viewer)

    assert list(response.json) == ["success", "request_id", "data", "page"]
    assert [event["event"] for event in response.json["data"]] == ["client.created"]
    assert response.json["page"] == {
        "next": None,
        "previous": None,
        "total": 1,
        "is_capped": False,
    }


@each(
    ("filters", "found"),
    [
        ({"since": "2000-01-01", "until": "9998-12-31"}, 1),
        ({"until": "2000-01-01T00:00+02:00"}, 0),
        ({"since": "2000-01-01T00:00"}, 1),
        ({"address": "127.0.0.1"}, 1),
        ({"address": "unknown"}, 0),
        ({"address": "2001:DB8:0::1"}, 0),
        ({"status": "success"}, 1),
    ],
)
def test_list_events_accepts_lenient_filter_values(client, viewer, created, filters, found):
    response = client.get(EVENTS, query_string=filters, headers=viewer)

    assert (response.status_code, response.json["page"]["total"]) == (200, found)


@each(
    "name", ["since", "until", "admin", "client_id", "event", "status", "address", "size", "sort"]
)
@each("value", ["", "2026-13-01", "<b>x</b>"])
def test_list_events_rejects_invalid_filters(client, viewer, name, value):
    wanted = "<b>x</b>" if name == "admin" else value

    response = client.get(EVENTS, query_string={name: wanted}, headers=viewer)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == [name]


@pytest.mark.parametrize("time", ["0001-01-01T00:00+14:00", "9999-12-31", "9999-12-31T23:59-14:00"])
def test_list_events_rejects_times_out_of_range(client, viewer, time):
    response = client.get(EVENTS, query_string={"until": time}, headers=viewer)

    assert (response.status_code, list(response.json["error"]["fields"])) == (400, ["until"])


@pytest.mark.parametrize("event_id", ["0", "9223372036854775808"])
def test_show_event_not_found(client, viewer, event_id):
    assert client.get(f"{EVENTS}/{event_id}", headers=viewer).status_code == 404
