import pytest

from pipelabs.models import Role
from tests.machine_host import MACHINES, MachineHost


@pytest.fixture
def owner(sign_in):
    return sign_in(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def second(sign_in):
    """Another owner, who approves what the first one requests."""
    return sign_in(Role.OWNER, email="second@desk.local")


@pytest.fixture
def host(client):
    return MachineHost(client)


@pytest.fixture
def invite(client, owner):
    """Return what invites a machine; it answers the response."""

    def send(**changes):
        body = {"name": "quoter-1", "addresses": ["192.0.2.0/24"]} | changes
        return client.post(MACHINES, json=body, headers=owner)

    return send


@pytest.fixture
def approve(client, second):
    """Return what approves the newest request; it answers the response."""

    def send(headers=second):
        [newest, *_] = client.get("/api/admin/approvals", headers=second).json["data"]
        return client.post(f"/api/admin/approvals/{newest['id']}/approve", headers=headers)

    return send


@pytest.fixture
def machine(invite, host, approve):
    """An active machine, whose host is `host`."""
    invited = invite().json
    host.enrol(invited["code"])
    approve()
    return invited["machine"]


@pytest.fixture
def key_id(stored):
    """A verified key in the vault."""
    return stored()


@pytest.fixture
def grant(client, owner, machine, approve):
    """Return what requests a grant for `machine` and approves it; it answers the grant."""

    def send(*, is_approved=True, **changes):
        body = {"machine_id": machine["id"]} | changes
        response = client.post("/api/admin/grants", json=body, headers=owner)
        assert response.status_code == 201, response.text
        if is_approved:
            assert approve().status_code == 200
        return response.json["grant"]

    return send


@pytest.fixture
def lease(host):
    """Return what leases keys for `host`; it answers the items of the response."""

    def send(*key_ids, by=host):
        response = by.post("/api/machine/leases", {"key_ids": list(key_ids) or None})
        assert response.status_code == 200, response.text
        return response.json["data"]

    return send


@pytest.fixture
def held(key_id, grant, lease):
    """A lease of the key by the machine."""
    grant()
    [answer] = lease()
    return answer["lease"]


@pytest.fixture
def another(client, invite, approve):
    """Return another active machine's host and id."""
    host = MachineHost(client, "192.0.2.9")
    invited = invite(name="quoter-2").json
    host.enrol(invited["code"])
    approve()
    return host, invited["machine"]["id"]
