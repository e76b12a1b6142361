"""Machines in every state that pages can show, made by way of the API."""

import json
from types import SimpleNamespace

from tests.instances import OWNER
from tests.machine_host import MachineHost
from tests.stub_exchange import Scenario, credentials

ADMIN = "/api/admin"
LONG_NAME = "market-maker-for-the-asian-session.fra1.engines.desk.example-corp"[:64]
SECOND = "second@desk.local"


class FleetClient:
    """What a `MachineHost` needs of Flask's test client, by HTTP."""

    def __init__(self, fleet):
        self.fleet = fleet

    def post(self, path, **options):
        return self._call("POST", path, options["json"], {})

    def open(self, target, method, data, headers, **_):
        return self._call(method, target, json.loads(data) if data else None, headers)

    def _call(self, method, path, body, headers):
        _, _, answer = self.fleet.call(method, path, body, **headers)
        return SimpleNamespace(json=answer)


class Desk:
    """Two owners of a service with demo data, one of whom requests what the other approves."""

    def __init__(self, fleet, password):
        """`password` is the one of the first owner."""
        self.fleet = fleet
        body = {"email": OWNER, "password": password}
        self.owner = fleet.call("POST", "/api/auth/login", body)[2]["access_token"]
        self.second = fleet.sign_in(SECOND)

    def send(self, path, body=None, token=None):
        status, _, answer = self.fleet.call("POST", f"{ADMIN}{path}", body, token or self.owner)
        assert status in {200, 201}, answer
        return answer

    def approve(self, subject_id):
        """Let the second owner approve the pending request about a row."""
        path = f"{ADMIN}/approvals?status=pending"
        pending = self.fleet.call("GET", path, None, self.second)[2]["data"]
        [request] = [one for one in pending if one["subject_id"] == subject_id]
        self.send(f"/approvals/{request['id']}/approve", token=self.second)

    def invite(self, name, *networks):
        """Return a machine and its code."""
        answer = self.send("/machines", {"name": name, "addresses": list(networks)})
        return answer["machine"]["id"], answer["code"]

    def enrol(self, name):
        """Return a machine that waits for its approval, and its host."""
        machine_id, code = self.invite(name)
        host = MachineHost(FleetClient(self.fleet))
        host.enrol(code)
        return machine_id, host

    def add_key(self, label):
        """Return a verified key of the first client."""
        clients = self.fleet.call("GET", f"{ADMIN}/clients", None, self.owner)[2]["data"]
        parts = credentials("okx", Scenario.TRADE_ONLY)
        body = {"client_id": clients[0]["id"], "exchange": "okx", "label": label} | parts
        return self.send("/api-keys", body)["api_key"]["id"]


def add_machines(fleet, password):
    """Add machines, grants, leases, stops and requests. The newest machine has most to show."""
    desk = Desk(fleet, password)
    suspended_id, _ = desk.enrol("quoter-2")
    desk.approve(suspended_id)
    desk.send(f"/machines/{suspended_id}/suspend", {"reason": "The host is being moved."})
    desk.enrol(LONG_NAME)
    desk.invite("quoter-4", "192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32")
    held, stopped, dropped = (desk.add_key(f"engine-{number}") for number in (1, 2, 3))
    machine_id, host = desk.enrol("quoter-1")
    desk.approve(machine_id)
    grant = desk.send("/grants", {"machine_id": machine_id, "exchange": "okx"})["grant"]
    desk.approve(grant["id"])
    leased = host.post("/api/machine/leases", {"key_ids": [held, stopped, dropped]}).json["data"]
    reason = "OKX reports withdrawals that the desk did not order."
    desk.send("/stops", {"scope": "key", "key_id": dropped, "reason": reason})
    host.post("/api/machine/acks", {"lease_ids": [leased[2]["lease"]["id"]]})
    stop = desk.send("/stops", {"scope": "key", "key_id": stopped, "reason": reason})["stop"]
    desk.send(f"/stops/{stop['id']}/lift")
    body = {"machine_id": machine_id, "label": "engine-1", "delivery": "push", "ttl_s": 5400}
    desk.send("/grants", body)
    rejected = desk.send("/grants", body | {"when_away": "drop"})["grant"]
    desk.send(f"/grants/{rejected['id']}/end", {"reason": "Not needed after all."})


def add_requests(fleet, password):
    """Let the second owner request what the first one approves: a new owner, then a key."""
    desk = Desk(fleet, password)
    admins = fleet.call("GET", f"{ADMIN}/admins", None, desk.owner)[2]["data"]
    [operator] = [admin["id"] for admin in admins if admin["email"] == "operator@desk.local"]
    fleet.call("PATCH", f"{ADMIN}/admins/{operator}", {"role": "owner"}, desk.second)
    keys = fleet.call("GET", f"{ADMIN}/api-keys?exchange=kraken", None, desk.owner)[2]["data"]
    reason = "Withdrawals are off at Kraken, seen on a call with the client's treasurer."
    desk.send(f"/api-keys/{keys[0]['id']}/accept", {"reason": reason}, desk.second)
