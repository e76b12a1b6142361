from datetime import timedelta

import pytest
from sqlalchemy import select, update

from pipelabs.clients.service import change_status
from pipelabs.core.db import db
from pipelabs.machines import leases
from pipelabs.machines.endings import expire_leases
from pipelabs.models import (
    AuditEvent,
    Client,
    ExchangeAPIKey,
    Lease,
    Machine,
    MachineStatus,
    Status,
    now,
)
from pipelabs.models.api_keys import end_of_day
from pipelabs.vault.api_keys import revoke_key, verify_key
from pipelabs.vault.examination import ProbeRequest
from tests.each import each
from tests.factories import make_actor, make_probe_result
from tests.machine_host import STATE

LEASES = "/api/machine/leases"
ACKS = "/api/machine/acks"
FLIP_A_BIT = (
    "UPDATE exchange_api_keys"
    " SET credentials = set_byte(credentials, 90, get_byte(credentials, 90) # 1)"
)


def test_lease_that_has_expired_ends_with_its_key_while_it_may_be_held(
    app, held, key_id, rows, host
):
    over = now() - timedelta(seconds=1)
    with app.app_context():
        db.session.execute(update(Lease).values(expires_at=over))
        expire_leases(make_actor(name="service", admin_id=None))
        db.session.commit()
    epoch = host.get().json["epoch"]

    revoke(app, key_id)

    assert rows(Lease)[0].end_reason == "key_revoked"
    assert host.get().json["epoch"] == epoch + 1


def test_lease_that_expired_unnoticed_is_recorded_before_the_next_one(held, lease, rows, change):
    change(Lease, expires_at=now() - timedelta(seconds=1))

    lease()

    [row] = rows(AuditEvent, event="lease.ended")
    assert row.details["reason"] == "expired"
    assert len(rows(AuditEvent, event="lease.granted")) == 2


@pytest.fixture
def held_for_a_day(key_id, grant, lease):
    grant(ttl_s=86_400)
    lease()


@pytest.mark.usefixtures("held_for_a_day")
@pytest.mark.parametrize(("days", "reason"), [(-1, "key_expired"), (0, None), (30, None)])
def test_lease_does_not_outlive_a_key_whose_expiry_is_changed(
    client, operator, key_id, rows, days, reason
):
    day = (now() + timedelta(days=days)).date()
    body = {"expires_at": day.isoformat()}

    response = client.patch(f"/api/admin/api-keys/{key_id}", json=body, headers=operator)

    assert response.status_code == 200, response.text
    [lease] = rows(Lease)
    assert lease.end_reason == reason
    assert reason or lease.held_until <= end_of_day(day)


def revoke(app, key_id):
    with app.app_context():
        revoke_key(key_id, make_actor())
        db.session.commit()


def test_revoking_a_key_ends_its_lease_in_the_same_transaction(app, held, key_id, rows, host):
    epoch = host.get().json["epoch"]

    revoke(app, key_id)

    [lease] = rows(Lease)
    assert lease.end_reason == "key_revoked"
    assert len(rows(AuditEvent, event="lease.ended")) == 1
    state = host.get(f"{STATE}?epoch={epoch}").json
    assert (state["epoch"], state["leases"]) == (epoch + 1, [])


def test_key_that_gains_the_right_to_withdraw_is_taken_back(app, held, key_id, rows):
    with app.app_context():
        key = db.session.get_one(ExchangeAPIKey, key_id)
        request = ProbeRequest(
            exchange="okx", credentials={}, is_testnet=False, ciphertext=key.ciphertext
        )
        verify_key(key.id, request, make_probe_result(withdraw="yes"), make_actor())
        db.session.commit()

    assert rows(Lease)[0].end_reason == "key_not_verified"


def test_key_that_is_verified_again_stays_leased(app, held, key_id, rows):
    with app.app_context():
        key = db.session.get_one(ExchangeAPIKey, key_id)
        request = ProbeRequest(
            exchange="okx", credentials={}, is_testnet=False, ciphertext=key.ciphertext
        )
        verify_key(key.id, request, make_probe_result(read="yes", withdraw="no"), make_actor())
        db.session.commit()

    assert rows(Lease)[0].ended_at is None


@each(
    ("status", "reason"),
    [("paused", None), ("suspended", "client_closed"), ("offboarded", "client_closed")],
)
def test_closing_a_client_ends_its_leases(app, held, rows, change, status, reason):
    change(Client, status=Status.ACTIVE)
    change(Lease, ended_at=None, end_reason=None)

    with app.app_context():
        change_status(rows(Client)[0].id, Status(status), make_actor())
        db.session.commit()

    assert rows(Lease)[0].end_reason == reason


def test_disabling_an_exchange_ends_its_leases_and_denies_new_ones(
    client, owner, held, rows, lease
):
    body = {"is_enabled": False}
    assert client.patch("/api/admin/exchanges/okx", json=body, headers=owner).status_code == 200

    assert rows(Lease)[0].end_reason == "exchange_closed"
    assert [answer["code"] for answer in lease()] == ["exchange_disabled"]


def test_closed_client_gets_no_lease(client, operator, key_id, grant, lease, rows):
    grant()
    path = f"/api/admin/clients/{rows(Client)[0].id}/status"
    client.post(path, json={"status": "offboarded"}, headers=operator)

    assert [answer["code"] for answer in lease()] == ["client_closed"]


def test_suspended_machine_gets_no_keys_and_acknowledges(client, owner, held, machine, host, rows):
    path = f"/api/admin/machines/{machine['id']}/suspend"
    client.post(path, json={"reason": "a test"}, headers=owner)

    denied = host.post(LEASES)
    state = host.get(f"{STATE}?epoch=0").json
    acknowledged = host.post(ACKS, {"lease_ids": [held["id"]]})

    assert (denied.status_code, denied.json["error"]["code"]) == (403, "machine_suspended")
    assert state["leases"] == []
    assert acknowledged.json["acknowledged"] == 1
    assert rows(Lease)[0].end_reason == "machine_closed"
    [row] = rows(AuditEvent, event="lease.denied")
    assert row.details["code"] == "machine_suspended"


def test_machine_that_is_suspended_meanwhile_gets_no_lease(app, host, key_id, grant, monkeypatch):
    grant()
    lock = leases._lock_leases

    def suspend_first(*call):
        with app.app_context():
            machine = db.session.scalars(select(Machine)).one()
            machine.status = MachineStatus.SUSPENDED
            db.session.commit()
        return lock(*call)

    monkeypatch.setattr(leases, "_lock_leases", suspend_first)

    assert host.post(LEASES).json["error"]["code"] == "machine_suspended"


def test_acknowledging_a_stop_records_how_long_it_took(app, held, key_id, host, rows):
    revoke(app, key_id)

    host.post(ACKS, {"lease_ids": [held["id"]]})
    again = host.post(ACKS, {"lease_ids": [held["id"]]})

    [row] = rows(AuditEvent, event="lease.acknowledged")
    assert int(row.details["after_ms"]) >= 0
    assert row.details["reason"] == "key_revoked"
    assert again.json["acknowledged"] == 0


def test_machine_can_not_acknowledge_another_machine_s_lease(held, another):
    host, _ = another

    assert host.post(ACKS, {"lease_ids": [held["id"]]}).json["acknowledged"] == 0


def test_expired_lease_is_recorded_and_the_key_is_leased_anew(app, held, lease, rows, change):
    change(Lease, expires_at=now() - timedelta(seconds=1))
    with app.app_context():
        assert expire_leases(make_actor(name="service", admin_id=None)) == 1
        assert expire_leases(make_actor(name="service", admin_id=None)) == 0
        db.session.commit()

    [answer] = lease()

    assert answer["lease"]["id"] == held["id"]
    [row] = rows(AuditEvent, event="lease.ended")
    assert row.details["reason"] == "expired"
    assert len(rows(AuditEvent, event="lease.granted")) == 2
