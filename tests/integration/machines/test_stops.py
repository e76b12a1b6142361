from datetime import timedelta

import pytest

from pipelabs.core.db import db
from pipelabs.models import (
    AuditEvent,
    Client,
    ExchangeAPIKey,
    KeyStage,
    Lease,
    Stop,
    now,
)
from pipelabs.vault.replacement import cut_over, destroy_due, roll_back
from tests.each import each
from tests.factories import make_actor, make_credentials, make_key
from tests.machine_host import STATE

STOPS = "/api/admin/stops"
REASON = {"reason": "OKX reports withdrawals that the desk did not order."}
NOWHERE = "31113ba9-d54f-4b34-8877-19e7dc1b7084"


@pytest.fixture
def subjects(key_id, machine, rows):
    """Return the subject of each scope, which the lease of `held` is in."""
    return {
        "everything": {},
        "exchange": {"exchange": "okx"},
        "client": {"client_id": str(rows(ExchangeAPIKey)[0].client_id)},
        "key": {"key_id": key_id},
        "machine": {"machine_id": machine["id"]},
    }


@pytest.fixture
def stop(client, operator, subjects):
    """Return what raises a stop of a scope; it answers the response."""

    def send(scope, path=""):
        body = {"scope": scope} | subjects[scope] | REASON
        return client.post(f"{STOPS}{path}", json=body, headers=operator)

    return send


SCOPES = ["everything", "exchange", "client", "key", "machine"]


@pytest.mark.parametrize("scope", SCOPES)
def test_stop_ends_the_leases_in_its_scope(stop, held, host, lease, rows, scope):
    preview = stop(scope, "/preview")

    raised = stop(scope)

    assert preview.json["reach"] == raised.json["reach"] == {"leases": 1, "machines": 1}
    assert raised.status_code == 201
    assert rows(Lease)[0].end_reason == "stopped"
    assert host.get(f"{STATE}?epoch=0").json["leases"] == []
    assert [answer["code"] for answer in lease()] == ["stopped"]
    [row] = rows(AuditEvent, event="stop.raised")
    assert (row.details["scope"], row.details["leases"]) == (scope, "1")


@pytest.mark.usefixtures("held")
def test_stop_lasts_until_two_owners_lift_it(client, stop, owner, approve, lease, rows):
    raised = stop("everything")

    client.post(f"{raised.headers['Location']}/lift", headers=owner)
    assert [answer["code"] for answer in lease()] == ["stopped"]
    approve()

    assert [answer["code"] for answer in lease()] == [None]
    assert rows(Stop)[0].lifted_by == "second@desk.local"
    assert len(rows(AuditEvent, event="stop.lifted")) == 1


def test_stop_of_something_else_leaves_a_lease(client, operator, held, another, lease):
    _, machine_id = another
    for body in (
        {"scope": "exchange", "exchange": "kraken"},
        {"scope": "machine", "machine_id": machine_id},
    ):
        response = client.post(STOPS, json=body | REASON, headers=operator)
        assert response.json["reach"] == {"leases": 0, "machines": 0}

    assert [answer["code"] for answer in lease()] == [None]


@each(
    ("body", "fields"),
    [
        ({"scope": "everything", "exchange": "okx"}, ["exchange"]),
        ({"scope": "exchange"}, ["exchange"]),
        ({"scope": "exchange", "exchange": "nowhere"}, ["exchange"]),
        ({"scope": "key", "key_id": NOWHERE}, ["key_id"]),
        ({"scope": "key", "key_id": "7"}, ["key_id"]),
        ({"scope": "client", "client_id": NOWHERE, "exchange": "okx"}, ["exchange"]),
        ({"scope": "machine", "client_id": NOWHERE}, ["client_id", "machine_id"]),
        ({"scope": "planet"}, ["scope"]),
    ],
)
def test_stop_with_a_wrong_subject_names_the_fields(app, client, operator, body, fields):
    response = client.post(STOPS, json=body | REASON, headers=operator)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == fields


def test_lifted_stop_can_not_be_lifted_again(client, operator, owner, approve):
    body = {"scope": "everything"} | REASON
    path = client.post(STOPS, json=body, headers=operator).headers["Location"]
    client.post(f"{path}/lift", headers=owner)
    approve()

    again = client.post(f"{path}/lift", headers=owner)

    assert again.status_code == 409
    assert client.get(f"{STOPS}?is_lifted=yes", headers=operator).json["data"][0]["lifted_at"]
    assert client.get(f"{STOPS}?is_lifted=no", headers=operator).json["data"] == []
    assert len(client.get(STOPS, headers=operator).json["data"]) == 1


def test_rejected_lift_leaves_the_stop(client, operator, owner, second, rows):
    body = {"scope": "everything"} | REASON
    path = client.post(STOPS, json=body, headers=operator).headers["Location"]
    approval = client.post(f"{path}/lift", headers=owner).json["approval"]

    client.post(
        f"/api/admin/approvals/{approval['id']}/reject", json={"reason": "no"}, headers=second
    )

    assert client.get(path, headers=operator).json["stop"]["lifted_at"] is None
    assert len(rows(AuditEvent, event="stop.lift_rejected")) == 1


def test_operators_raise_stops_and_only_owners_lift_them(client, viewer, operator):
    body = {"scope": "everything"} | REASON
    assert client.post(STOPS, json=body, headers=viewer).status_code == 403
    path = client.post(STOPS, json=body, headers=operator).headers["Location"]

    assert client.post(f"{path}/lift", headers=operator).status_code == 403


def test_stop_that_does_not_exist_is_404(client, owner):
    assert client.get(f"{STOPS}/{NOWHERE}", headers=owner).status_code == 404
    assert client.post(f"{STOPS}/{NOWHERE}/lift", headers=owner).status_code == 404


@pytest.fixture
def candidate(app, held, rows):
    """A verified candidate for the leased key."""
    with app.app_context():
        live = db.session.get_one(ExchangeAPIKey, rows(ExchangeAPIKey)[0].id)
        newer = make_key(
            db.session.get_one(Client, live.client_id),
            credentials=make_credentials(api_key="okx-key-newer"),
            stage=KeyStage.CANDIDATE,
            replaces_id=live.id,
        )
        db.session.commit()
        return str(newer.id)


def act(app, function, *arguments):
    with app.app_context():
        result = function(*arguments)
        db.session.commit()
        return result


def test_cut_over_supersedes_the_lease_until_the_machine_has_moved(
    app, held, candidate, host, lease
):
    act(app, cut_over, candidate, make_actor())

    [superseded] = host.get(f"{STATE}?epoch=0").json["leases"]
    assert (superseded["id"], superseded["is_superseded"]) == (held["id"], True)
    [new] = lease()
    assert (new["key_id"], new["lease"]["generation"]) == (candidate, 2)


def test_superseded_key_is_destroyed_after_the_acknowledgement(
    app, held, key_id, candidate, host, rows
):
    act(app, cut_over, candidate, make_actor())
    with app.app_context():
        old = db.session.get_one(ExchangeAPIKey, key_id)
        old.destroy_at = now() - timedelta(minutes=1)
        db.session.commit()

    assert act(app, destroy_due, make_actor()) == 0
    host.post("/api/machine/acks", {"lease_ids": [held["id"]]})

    assert act(app, destroy_due, make_actor()) == 1
    assert rows(Lease)[0].end_reason == "superseded"


def test_roll_back_supersedes_the_lease_of_the_newer_key(app, held, candidate, lease, rows):
    act(app, cut_over, candidate, make_actor())
    lease()
    act(app, roll_back, candidate, make_actor())

    by_key = {str(row.key_id): row for row in rows(Lease)}
    assert by_key[candidate].superseded_at


def test_lease_of_a_key_that_is_live_again_is_not_superseded(app, key_id, candidate, lease, rows):
    act(app, cut_over, candidate, make_actor())
    act(app, roll_back, candidate, make_actor())

    assert [answer["key_id"] for answer in lease()] == [key_id]
    assert rows(Lease)[0].superseded_at is None


def test_metrics_show_leases_and_stops_until_the_machine_acknowledges(stop, held, host, scrape):
    live = scrape()
    raised = stop("exchange")
    ended = scrape()
    assert host.post("/api/machine/acks", {"lease_ids": [held["id"]]}).status_code == 200
    acknowledged = scrape()

    assert raised.status_code == 201
    names = ["leases_live", "stops_raised"]
    assert [live[f"pipelabs_{name}",] for name in names] == [1, 0]
    assert [ended[f"pipelabs_{name}",] for name in names] == [0, 1]
    ages = [found["pipelabs_stop_unacknowledged_seconds",] for found in (live, ended, acknowledged)]
    assert ages[0] == ages[2] == 0 < ages[1]
