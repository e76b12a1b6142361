from datetime import timedelta

import pytest
from sqlalchemy import update

from pipelabs.approvals.service import LIFETIME
from pipelabs.core.db import db
from pipelabs.models import Admin, Approval, AuditEvent, Machine, Role, now
from tests.each import each
from tests.machine_host import MachineHost

APPROVALS = "/api/admin/approvals"


@pytest.fixture
def requested(client, invite, host, owner, rows):
    """Return the path of a request of the owner's, for the machine of `host`."""
    host.enrol(invite().json["code"])
    [approval] = rows(Approval)
    return f"{APPROVALS}/{approval.id}"


def test_second_owner_approves_a_machine(client, requested, second, host, rows):
    response = client.post(f"{requested}/approve", headers=second)

    assert response.status_code == 200
    assert response.json["approval"]["status"] == "approved"
    assert response.json["approval"]["decided_by"] == "second@desk.local"
    assert host.get().json["machine"]["status"] == "active"
    [approved] = rows(AuditEvent, event="approval.approved")
    assert approved.details["requested_by"] == "owner@desk.local"
    assert "second_owner" not in approved.details
    assert len(rows(AuditEvent, event="machine.approved")) == 1


def test_owner_can_not_approve_the_own_request(client, requested, owner, second, rows):
    response = client.post(f"{requested}/approve", headers=owner)

    assert response.status_code == 403
    assert response.json["error"]["code"] == "own_request"
    assert rows(Machine)[0].status == "enrolled"
    [denied] = rows(AuditEvent, event="approval.decision_denied")
    assert denied.details["kind"] == "machine"


def test_only_owner_may_approve_the_own_request_if_a_setting_allows_it(
    variant, requested, owner, rows
):
    client = variant(SINGLE_OWNER_APPROVALS=True).test_client()

    response = client.post(f"{requested}/approve", headers=owner)

    assert response.json["approval"]["is_waived"]
    [approved] = rows(AuditEvent, event="approval.approved")
    assert approved.details["second_owner"] == "waived"


def test_one_of_two_owners_may_not_approve_the_own_request(variant, requested, owner, second):
    client = variant(SINGLE_OWNER_APPROVALS=True).test_client()

    assert client.post(f"{requested}/approve", headers=owner).status_code == 403


def test_disabled_owner_does_not_count_as_a_second_one(app, variant, requested, owner, second):
    client = variant(SINGLE_OWNER_APPROVALS=True).test_client()
    with app.app_context():
        disable = update(Admin).where(Admin.email == "second@desk.local")
        db.session.execute(disable.values(is_disabled=True))
        db.session.commit()

    assert client.post(f"{requested}/approve", headers=owner).status_code == 200


@each("role", [Role.VIEWER, Role.OPERATOR])
def test_other_roles_can_not_decide(client, requested, sign_in, role):
    headers = sign_in(role, email=f"{role}@x.test")

    assert client.get(requested, headers=headers).status_code == 200
    assert client.post(f"{requested}/approve", headers=headers).status_code == 403
    assert (
        client.post(f"{requested}/reject", json={"reason": "no"}, headers=headers).status_code
        == 403
    )


def test_rejected_machine_is_retired(client, requested, owner, host, rows):
    response = client.post(f"{requested}/reject", json={"reason": "Wrong host."}, headers=owner)

    assert response.json["approval"]["status"] == "rejected"
    assert response.json["approval"]["reason"] == "Wrong host."
    [machine] = rows(Machine)
    assert (machine.status, machine.reason) == ("retired", "Wrong host.")


def test_decided_request_can_not_be_decided_again(client, requested, second):
    client.post(f"{requested}/approve", headers=second)

    again = client.post(f"{requested}/approve", headers=second)
    rejected = client.post(f"{requested}/reject", json={"reason": "no"}, headers=second)

    assert again.status_code == rejected.status_code == 409
    assert again.json["message"] == "This request was approved already."


def test_expired_request_can_not_be_approved(client, requested, second, change):
    change(Approval, expires_at=now() - timedelta(seconds=1))

    response = client.post(f"{requested}/approve", headers=second)

    assert response.status_code == 409
    assert "expired" in response.json["message"]


def test_request_is_void_if_its_subject_has_changed(client, requested, second, change, rows):
    change(Machine, addresses=["0.0.0.0/0"])

    response = client.post(f"{requested}/approve", headers=second)

    assert response.status_code == 409
    assert rows(Machine)[0].status == "enrolled"


def test_requests_are_listed_by_status(client, requested, second, viewer, invite):
    client.post(f"{requested}/approve", headers=second)
    MachineHost(client).enrol(invite(name="quoter-2").json["code"])

    pending = client.get(f"{APPROVALS}?status=pending", headers=viewer).json["data"]
    everything = client.get(APPROVALS, headers=viewer).json["data"]

    assert [row["payload"]["name"] for row in pending] == ["quoter-2"]
    assert [row["payload"]["name"] for row in everything] == ["quoter-2", "quoter-1"]


def test_request_lives_72_hours(requested, rows):
    [approval] = rows(Approval)

    assert abs(approval.expires_at - approval.created_at - LIFETIME) < timedelta(seconds=5)


def test_request_that_does_not_exist_is_404(client, owner):
    path = f"{APPROVALS}/31113ba9-d54f-4b34-8877-19e7dc1b7084"

    assert client.get(path, headers=owner).status_code == 404
    assert client.post(f"{path}/approve", headers=owner).status_code == 404
