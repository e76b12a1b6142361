from datetime import timedelta

import pytest

from pipelabs.agent import protocol
from pipelabs.machines.service import CODE_LIFETIME
from pipelabs.models import Approval, AuditEvent, Machine, MachineStatus, now
from tests.each import each
from tests.machine_host import MACHINES, MachineHost

LOW_ORDER_KEY = protocol.encode(bytes(32))


def test_invited_machine_has_a_code_that_is_stored_as_a_digest(invite, rows):
    response = invite()

    [machine] = rows(Machine)
    assert response.status_code == 201
    assert response.json["code"].startswith("ple_")
    assert response.json["machine"]["status"] == "invited"
    assert response.headers["Location"].endswith(f"/api/admin/machines/{machine.id}")
    assert response.json["code"].encode() not in machine.code_digest
    [row] = rows(AuditEvent, event="machine.invited")
    assert row.details["name"] == "quoter-1"
    assert response.json["code"] not in str(row.details)


def test_invitation_with_a_taken_name_is_a_duplicate(invite):
    first = invite()

    response = invite()

    assert response.status_code == 409
    assert response.json["error"]["existing"] == {"name": first.json["machine"]["id"]}


@each(
    ("field", "value"),
    [
        ("name", "Quoter 1"),
        ("name", ""),
        ("name", "-a"),
        ("name", "a" * 65),
        ("name", 7),
        ("addresses", ["nowhere"]),
        ("addresses", "192.0.2.0/24"),
    ],
)
def test_invitation_with_invalid_input_names_the_field(invite, field, value):
    response = invite(**{field: value})

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == [field]


def test_enrolled_machine_waits_for_the_approval_of_its_fingerprint(invite, host, rows):
    code = invite().json["code"]

    response = host.enrol(code)

    assert response.status_code == 201
    assert response.json["machine"]["status"] == "enrolled"
    assert response.json["machine"]["fingerprint"] == host.fingerprint
    [approval] = rows(Approval)
    assert approval.payload["fingerprint"] == host.fingerprint
    assert approval.requested_by == "owner@desk.local"
    [row] = rows(AuditEvent, event="machine.enrolled")
    assert (row.actor, row.address) == ("machine:quoter-1", "192.0.2.7")


def test_enrolment_code_works_once_in_time_and_from_its_networks(invite, client, change, rows):
    code = invite().json["code"]
    elsewhere = MachineHost(client, "198.51.100.7").enrol(code)
    change(Machine, code_expires_at=now() - timedelta(seconds=1))
    late = MachineHost(client).enrol(code)
    change(Machine, code_expires_at=now() + CODE_LIFETIME)
    in_time = MachineHost(client).enrol(code)
    repeated = MachineHost(client).enrol(code)
    unknown = MachineHost(client).enrol("ple_unknown")

    assert in_time.status_code == 201
    for response in (elsewhere, late, repeated, unknown):
        assert response.status_code == 401
        assert response.json["error"]["code"] == "code_invalid"
    assert len({response.json["message"] for response in (elsewhere, late, repeated)}) == 1
    assert {row.actor for row in rows(AuditEvent, event="machine.enrol_denied")} == {None}


def test_enrolment_from_an_unknown_address_needs_a_machine_without_networks(invite, client, rows):
    bound = invite().json["code"]
    unbound = invite(name="quoter-2", addresses=[]).json["code"]

    assert MachineHost(client, "not an address").enrol(bound).status_code == 401
    assert MachineHost(client, "not an address").enrol(unbound).status_code == 201


def test_enrolment_with_the_keys_of_another_machine_is_a_duplicate(invite, host):
    host.enrol(invite().json["code"])

    response = host.enrol(invite(name="quoter-2").json["code"])

    assert response.status_code == 409
    assert list(response.json["error"]["fields"]) == ["signing_key"]


@each("key", ["", "ä", "AAAA", "A" * 42 + "B", "A" * 44, 7, None])
@each("field", ["signing_key", "sealing_key"])
def test_enrolment_with_malformed_keys_is_rejected(invite_code, host, field, key):
    response = host.enrol(invite_code, **{field: key})

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == [field]


def test_enrolment_with_a_weak_sealing_key_is_rejected(invite_code, host):
    response = host.enrol(invite_code, sealing_key=LOW_ORDER_KEY)

    assert response.status_code == 400


@pytest.fixture
def invite_code(invite):
    return invite().json["code"]


def test_code_can_be_renewed_until_the_machine_has_enrolled(client, owner, invite, host):
    invited = invite().json
    path = f"{MACHINES}/{invited['machine']['id']}/code"

    renewed = client.post(path, headers=owner)
    void = host.enrol(invited["code"])
    enrolled = host.enrol(renewed.json["code"])
    again = client.post(path, headers=owner)

    assert renewed.status_code == 201
    assert void.status_code == 401
    assert enrolled.status_code == 201
    assert again.status_code == 409


def test_machines_are_listed_by_status(client, viewer, machine, invite):
    invite(name="quoter-2")

    everything = client.get(MACHINES, headers=viewer)
    active = client.get(f"{MACHINES}?status=active", headers=viewer)

    assert [row["name"] for row in everything.json["data"]] == ["quoter-2", "quoter-1"]
    assert [row["name"] for row in active.json["data"]] == ["quoter-1"]
    assert "code" not in active.text.replace("code_expires_at", "")


@pytest.fixture
def act_on(client, owner, machine, rows):
    """Return what an owner does; it answers the epoch before, and the response."""

    def send(name):
        epoch = rows(Machine)[0].epoch
        path = f"{MACHINES}/{machine['id']}/{name}"
        return epoch, client.post(path, json={"reason": "a test"}, headers=owner)

    return send


@each(
    ("first", "act", "status"),
    [
        (None, "suspend", "suspended"),
        ("suspend", "resume", "active"),
        (None, "retire", "retired"),
        ("suspend", "retire", "retired"),
    ],
)
def test_owner_changes_the_status_of_a_machine(act_on, change, first, act, status):
    change(Machine, status=MachineStatus.ACTIVE)
    for name in filter(None, (first, act)):
        before, response = act_on(name)

    assert response.status_code == 200
    assert response.json["machine"]["status"] == status
    assert response.json["machine"]["reason"] == "a test"
    assert response.json["machine"]["epoch"] == before + 1


def test_invalid_transition_of_a_machine_is_409(client, owner, machine):
    path = f"{MACHINES}/{machine['id']}"
    client.post(f"{path}/retire", json={"reason": "a test"}, headers=owner)

    response = client.post(f"{path}/resume", json={"reason": "a test"}, headers=owner)

    assert response.status_code == 409
    assert "retired" in response.json["message"]


def test_stale_version_of_a_machine_is_412(client, owner, machine):
    response = client.post(
        f"{MACHINES}/{machine['id']}/suspend",
        json={"reason": "a test"},
        headers=owner | {"If-Match": '"1"'},
    )

    assert response.status_code == 412


def test_machine_that_does_not_exist_is_404(client, owner, viewer):
    path = f"{MACHINES}/31113ba9-d54f-4b34-8877-19e7dc1b7084"

    assert client.get(path, headers=viewer).status_code == 404
    assert client.post(f"{path}/code", headers=owner).status_code == 404


def test_retiring_an_enrolled_machine_withdraws_its_request(client, owner, invite, host, rows):
    invited = invite().json
    host.enrol(invited["code"])

    path = f"{MACHINES}/{invited['machine']['id']}/retire"
    client.post(path, json={"reason": "a test"}, headers=owner)

    [approval] = rows(Approval)
    assert approval.status == "withdrawn"
    assert len(rows(AuditEvent, event="approval.withdrawn")) == 1


def test_operators_can_not_invite_machines(client, operator):
    response = client.post(MACHINES, json={"name": "quoter-1"}, headers=operator)

    assert response.status_code == 403


def test_show_returns_a_machine_with_its_fingerprint(client, viewer, machine, host):
    response = client.get(f"{MACHINES}/{machine['id']}", headers=viewer)

    assert response.json["machine"]["fingerprint"] == host.fingerprint
    assert response.json["machine"]["enrolled_from"] == "192.0.2.7"
