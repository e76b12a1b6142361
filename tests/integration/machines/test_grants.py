import pytest

from pipelabs.models import AuditEvent, Grant, Lease, Machine, MachineStatus
from tests.each import each

GRANTS = "/api/admin/grants"
NOWHERE = "31113ba9-d54f-4b34-8877-19e7dc1b7084"
REASON = {"reason": "a test"}


def test_requested_grant_waits_for_the_approval_of_its_terms(grant, client, viewer, rows):
    granted = grant(is_approved=False)

    assert (granted["status"], granted["ttl_s"], granted["max_holders"]) == ("requested", 3600, 1)
    [newest, *_] = client.get("/api/admin/approvals", headers=viewer).json["data"]
    assert newest["kind"] == "grant"
    assert newest["payload"]["ttl_s"] == 3600
    assert newest["payload"]["delivery"] == "exec"
    assert len(rows(AuditEvent, event="grant.requested")) == 1


def test_approved_grant_is_active_and_raises_the_epoch(grant, rows, host):
    before = host.get().json["epoch"]

    grant()

    [row] = rows(Grant)
    assert row.status == "active"
    assert host.get().json["epoch"] == before + 1
    assert len(rows(AuditEvent, event="grant.approved")) == 1


def test_rejected_grant_stays_without_effect(client, second, grant, rows):
    grant(is_approved=False)
    [newest, *_] = client.get("/api/admin/approvals", headers=second).json["data"]
    client.post(
        f"/api/admin/approvals/{newest['id']}/reject", json={"reason": "Too long."}, headers=second
    )

    [row] = rows(Grant)
    assert (row.status, row.reason) == ("rejected", "Too long.")


@each(
    ("field", "value"),
    [
        ("machine_id", NOWHERE),
        ("machine_id", "7"),
        ("client_id", NOWHERE),
        ("exchange", "nowhere"),
        ("ttl_s", 299),
        ("ttl_s", 86_401),
        ("hold_s", 86_401),
        ("max_holders", 0),
        ("max_examination_age_s", 60),
        ("delivery", "post"),
        ("when_away", "keep"),
        ("label", ""),
    ],
)
def test_grant_with_invalid_input_names_the_field(client, owner, machine, field, value):
    body = {"machine_id": machine["id"]} | {field: value}

    response = client.post(GRANTS, json=body, headers=owner)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == [field]


def test_retired_machine_gets_no_grant(client, owner, machine, change):
    change(Machine, status=MachineStatus.RETIRED)

    response = client.post(GRANTS, json={"machine_id": machine["id"]}, headers=owner)

    assert response.json["error"]["fields"] == {"machine_id": ["A retired machine gets no grants."]}


def test_grant_of_a_machine_that_was_retired_can_not_be_approved(grant, approve, change):
    grant(is_approved=False)
    change(Machine, status=MachineStatus.RETIRED)

    assert approve().status_code == 409


def test_grant_names_an_exchange_by_its_alias(key_id, grant):
    assert grant(exchange="OKX")["exchange"] == "okx"


def test_ending_a_grant_ends_its_leases(client, owner, held, grant, rows, lease):
    [granted] = rows(Grant)

    response = client.post(f"{GRANTS}/{granted.id}/end", json=REASON, headers=owner)

    assert response.json["grant"]["status"] == "ended"
    assert rows(Lease)[0].end_reason == "grant_ended"
    assert lease() == []
    again = client.post(f"{GRANTS}/{granted.id}/end", json=REASON, headers=owner)
    assert again.status_code == 409


def test_ending_a_requested_grant_withdraws_the_request(client, owner, grant, viewer):
    granted = grant(is_approved=False)

    client.post(f"{GRANTS}/{granted['id']}/end", json=REASON, headers=owner)

    [newest, *_] = client.get("/api/admin/approvals", headers=viewer).json["data"]
    assert newest["status"] == "withdrawn"


def test_retiring_a_machine_ends_its_grants_and_withdraws_requests(
    client, owner, machine, held, grant, rows
):
    grant(is_approved=False, label="other")
    path = f"/api/admin/machines/{machine['id']}/retire"

    client.post(path, json={"reason": "The host is gone."}, headers=owner)

    assert {(row.status, row.reason) for row in rows(Grant)} == {("ended", "The host is gone.")}
    assert len(rows(AuditEvent, event="grant.ended")) == 2
    assert rows(Lease)[0].end_reason == "machine_closed"
    pending = client.get("/api/admin/approvals?status=pending", headers=owner)
    assert pending.json["data"] == []


def test_grants_are_listed_by_machine_and_status(client, viewer, grant, machine):
    granted = grant()
    grant(is_approved=False)

    path = f"{GRANTS}?machine_id={machine['id']}&status=active"
    assert [row["id"] for row in client.get(path, headers=viewer).json["data"]] == [granted["id"]]
    assert len(client.get(GRANTS, headers=viewer).json["data"]) == 2
    shown = client.get(f"{GRANTS}/{granted['id']}", headers=viewer)
    assert (shown.json["grant"]["status"], shown.headers["ETag"]) == ("active", '"2"')


@pytest.mark.parametrize("version", ['"1"'])
def test_stale_version_of_a_grant_is_412(client, owner, grant, version):
    granted = grant()

    response = client.post(
        f"{GRANTS}/{granted['id']}/end", json=REASON, headers=owner | {"If-Match": version}
    )

    assert response.status_code == 412


def test_grant_that_does_not_exist_is_404(client, owner):
    assert client.get(f"{GRANTS}/{NOWHERE}", headers=owner).status_code == 404
    assert client.post(f"{GRANTS}/{NOWHERE}/end", json=REASON, headers=owner).status_code == 404
