from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import text

from pipelabs.activity.queries import list_of_key
from pipelabs.agent import protocol
from pipelabs.core.db import db
from pipelabs.machines import eligibility
from pipelabs.models import (
    AuditEvent,
    ExchangeAPIKey,
    Grant,
    Lease,
    Machine,
    MachineStatus,
    now,
)
from pipelabs.vault.probe import Failure
from tests.each import each
from tests.factories import CANARY, make_probe_result
from tests.machine_host import STATE, MachineHost

LEASES = "/api/machine/leases"
ACKS = "/api/machine/acks"
FLIP_A_BIT = (
    "UPDATE exchange_api_keys"
    " SET credentials = set_byte(credentials, 90, get_byte(credentials, 90) # 1)"
)


def open_sealed(host, machine, answer):
    lease = answer["lease"]
    context = protocol.lease_context(
        lease["id"], machine["id"], answer["key_id"], lease["generation"]
    )
    return protocol.open_sealed(lease["sealed"], host.sealing_key, context)


def test_granted_key_is_leased_with_its_credentials_sealed(
    client, host, machine, key_id, grant, rows
):
    grant()

    response = host.post(LEASES)

    [answer] = response.json["data"]
    assert (answer["key_id"], answer["is_leased"], answer["code"]) == (key_id, True, None)
    assert (answer["exchange"], answer["label"]) == ("okx", "main")
    assert open_sealed(host, machine, answer)["api_secret"] == CANARY
    assert CANARY not in response.text
    [lease] = rows(Lease)
    assert abs(lease.expires_at - now() - timedelta(hours=1)) < timedelta(minutes=1)
    assert lease.held_until - lease.expires_at == timedelta(hours=1)
    [row] = rows(AuditEvent, event="lease.granted")
    assert (row.actor, row.details["key"]) == ("machine:quoter-1", key_id)
    assert row.client_id == rows(ExchangeAPIKey)[0].client_id


def test_credentials_open_for_no_other_machine_and_no_other_lease(host, machine, held, client):
    other_host = MachineHost(client)
    context = protocol.lease_context(held["id"], machine["id"], held["id"], held["generation"])

    for key in (other_host.sealing_key, host.sealing_key):
        with pytest.raises(protocol.Unreadable):
            protocol.open_sealed(held["sealed"], key, context)


@pytest.fixture
def history(app, key_id):
    """Return a reader of the history that the key's page shows."""

    def read():
        with app.app_context():
            return [entry.event for entry in list_of_key(UUID(key_id))]

    return read


def test_leasing_again_extends_the_same_lease_and_is_recorded_once_an_hour(
    history, held, lease, rows, change
):
    [again] = lease()
    assert again["lease"]["id"] == held["id"]
    assert rows(AuditEvent, event="lease.renewed") == []

    change(Lease, recorded_at=now() - timedelta(hours=1))
    lease()

    [renewed] = rows(AuditEvent, event="lease.renewed")
    shown = [event.event for event in history()]
    assert ("lease.granted" in shown, renewed.event in shown) == (True, False)
    assert len(rows(AuditEvent, event="lease.granted")) == 1
    assert rows(Lease)[0].renewals == 2


def test_key_without_a_grant_is_denied_and_nothing_is_told_about_it(host, machine, key_id, lease):
    [answer] = lease(key_id)

    assert answer["code"] == "not_granted"
    assert answer["client"] is answer["exchange"] is answer["label"] is None
    assert lease() == []


def test_key_that_does_not_exist_is_like_one_that_is_not_granted(ring, grant, lease):
    grant()

    [answer] = lease("31113ba9-d54f-4b34-8877-19e7dc1b7084")

    assert answer["code"] == "not_granted"


def test_keys_that_grants_select_are_listed_without_being_leased(host, key_id, stored, grant, rows):
    other = stored(label="other")
    assert host.get("/api/machine/keys").json["data"] == []
    grant(label="main")
    [row] = host.get("/api/machine/keys").json["data"]
    assert (row["key_id"], row["exchange"], row["label"]) == (key_id, "okx", "main")
    grant()

    first = host.get("/api/machine/keys?size=1").json
    second = host.get(f"/api/machine/keys?size=1&cursor={first['page']['next']}").json

    assert [page["data"][0]["key_id"] for page in (first, second)] == [other, key_id]
    assert rows(Lease) == []


def test_keys_are_not_listed_for_a_suspended_machine(host, grant, key_id, change):
    grant()
    change(Machine, status=MachineStatus.SUSPENDED)

    assert host.get("/api/machine/keys").json["error"]["code"] == "machine_suspended"


def test_any_grant_that_allows_a_key_is_enough(key_id, grant, lease, change):
    grant(max_examination_age_s=3600)
    generous = grant()
    execute_later = now() + timedelta(minutes=61)

    with time_machine.travel(execute_later, tick=True):
        [answer] = lease()

    assert (answer["is_leased"], answer["lease"]["ttl_s"]) == (True, generous["ttl_s"])


def test_repeated_key_ids_get_one_answer(key_id, grant, lease):
    grant()

    assert [answer["is_leased"] for answer in lease(key_id, key_id)] == [True]


@pytest.fixture
def end(client, owner):
    """Return what ends a grant."""

    def send(grant):
        path = f"/api/admin/grants/{grant['id']}/end"
        client.post(path, json={"reason": "a test"}, headers=owner)

    return send


@each(
    ("selector", "is_selected"),
    [
        ({"exchange": "okx"}, True),
        ({"exchange": "binance"}, False),
        ({"label": "main"}, True),
        ({"label": "other"}, False),
    ],
)
def test_grant_selects_by_exchange_and_label(key_id, grant, lease, end, selector, is_selected):
    granted = grant(**selector)

    assert [answer["is_leased"] for answer in lease()] == [True] * is_selected
    end(granted)


def test_grant_selects_by_client(key_id, grant, lease, rows):
    grant(client_id=str(rows(ExchangeAPIKey)[0].client_id))

    assert [answer["is_leased"] for answer in lease()] == [True]


def test_key_is_not_held_without_the_service_if_the_grant_says_drop(key_id, grant, lease, rows):
    grant(when_away="drop")

    lease()

    [row] = rows(Lease)
    assert row.held_until == row.expires_at


def test_grant_that_is_not_approved_selects_nothing(key_id, grant, lease):
    grant(is_approved=False)

    assert lease() == []


def test_grant_that_was_changed_after_its_approval_selects_nothing(key_id, grant, lease, change):
    grant(ttl_s=300)
    change(Grant, ttl_s=86_400)

    assert lease() == []


def test_lease_ends_when_its_key_expires(app, stored, grant, lease):
    soon = now() + timedelta(minutes=10)
    stored(result=make_probe_result(read="yes", withdraw="no", expires_at=soon))
    grant()

    [answer] = lease()

    assert answer["lease"]["expires_at"] == soon.isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )


def execute(app, statement):
    """Run a statement as something else than the service would."""
    with app.app_context():
        db.session.execute(text(statement))
        db.session.commit()


def unverified():
    return {"result": make_probe_result(failure=Failure.UNREACHABLE)}


@each(
    ("changes", "code"),
    [
        (unverified(), "key_not_verified"),
        ({"result": make_probe_result(withdraw="unknown", read="yes")}, "key_not_verified"),
        (
            {
                "result": make_probe_result(
                    read="yes", withdraw="no", expires_at=now() - timedelta(days=1)
                )
            },
            "key_expired",
        ),
    ],
)
def test_key_that_may_not_be_used_is_denied(stored, grant, lease, changes, code):
    key_id = stored(**changes)
    grant()

    answers = {answer["key_id"]: answer for answer in lease()}

    assert answers[key_id]["code"] == code
    assert answers[key_id]["lease"] is None


def test_key_whose_row_was_altered_is_denied(app, key_id, grant, lease):
    execute(app, "UPDATE exchange_api_keys SET ip_note = 'altered'")
    grant()

    assert [answer["code"] for answer in lease()] == ["key_not_verified"]


def test_key_that_was_examined_too_long_ago_is_denied(key_id, grant, lease):
    grant(max_examination_age_s=3600)

    with time_machine.travel(now() + timedelta(minutes=61), tick=True):
        [answer] = lease()

    assert answer["code"] == "examination_too_old"


def test_key_that_another_machine_holds_is_denied(held, another, grant):
    host, machine_id = another
    grant(machine_id=machine_id)

    [answer] = host.post(LEASES).json["data"]

    assert answer["code"] == "held_elsewhere"


def test_key_that_was_given_back_can_go_to_another_machine(held, another, grant, host):
    other, machine_id = another
    grant(machine_id=machine_id)
    host.post(ACKS, {"lease_ids": [held["id"]]})

    [answer] = other.post(LEASES).json["data"]

    assert answer["is_leased"]


@each(
    ("held_until", "code"),
    [(timedelta(minutes=1), "held_elsewhere"), (timedelta(0), None)],
)
def test_expired_lease_counts_while_its_machine_may_hold_the_key(
    held, another, grant, change, held_until, code
):
    host, machine_id = another
    over = now() - timedelta(seconds=1)
    change(
        Lease, expires_at=over, ended_at=over, end_reason="expired", held_until=now() + held_until
    )
    change(Lease, acknowledged_at=None)
    grant(machine_id=machine_id)

    [answer] = host.post(LEASES).json["data"]

    assert answer["code"] == code


def test_grant_of_the_holder_limits_the_machines_too(held, another, grant):
    host, machine_id = another
    grant(machine_id=machine_id, max_holders=2)

    [answer] = host.post(LEASES).json["data"]

    assert answer["code"] == "held_elsewhere"


def test_two_machines_may_hold_a_key_if_both_grants_say_so(key_id, another, grant, lease):
    host, machine_id = another
    grant(max_holders=2)
    lease()
    grant(machine_id=machine_id, max_holders=2)

    [answer] = host.post(LEASES).json["data"]

    assert answer["is_leased"]


def test_credentials_that_can_not_be_decrypted_are_denied_and_recorded(
    app, key_id, grant, lease, rows
):
    grant()
    execute(app, FLIP_A_BIT)

    assert [answer["code"] for answer in lease()] == ["undecryptable"]
    [row] = rows(AuditEvent, event="lease.denied")
    assert (row.status, row.details["key"]) == ("ERROR", key_id)
    assert row.details["code"] == "undecryptable"


def test_leasing_without_a_vault_is_503(host, grant):
    grant()

    response = host.post(LEASES)

    assert (response.status_code, response.json["error"]["code"]) == (503, "vault_not_configured")


def test_more_keys_than_a_call_may_lease_have_to_be_named(key_id, grant, host, monkeypatch):
    grant()
    monkeypatch.setattr(eligibility, "MAX_KEYS", 0)

    response = host.post(LEASES)

    assert (response.status_code, list(response.json["error"]["fields"])) == (400, ["key_ids"])


def test_leases_are_listed_by_machine_key_and_whether_they_live(
    client, viewer, held, machine, key_id, host
):
    listed = client.get(f"/api/admin/leases?machine_id={machine['id']}", headers=viewer)
    of_key = client.get(f"/api/admin/leases?api_key_id={key_id}&is_live=yes", headers=viewer)
    over = client.get("/api/admin/leases?is_live=no", headers=viewer)

    assert [row["id"] for row in listed.json["data"]] == [held["id"]]
    assert [row["id"] for row in of_key.json["data"]] == [held["id"]]
    assert over.json["data"] == []
    assert "sealed" not in listed.text


def test_state_lists_the_leases_of_a_machine_if_the_epoch_is_another(host, held):
    state = host.get(f"{STATE}?epoch=0").json

    assert [row["id"] for row in state["leases"]] == [held["id"]]
    assert state["leases"][0]["is_superseded"] is False
    assert host.get(f"{STATE}?epoch={state['epoch']}").json["leases"] is None
