"""Two owners and an operator, who give the keys of clients to machines."""

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.stub_exchange import Scenario, credentials


class Desk:
    """Calls the instances of a service; the first one unless another is named."""

    def __init__(self, running):
        self.running = running
        self.owner = running.sign_in()
        self.second = running.sign_in("second@desk.local")
        self.operator = running.sign_in("operator@desk.local", "operator")

    def post(self, path, body=None, by=None, instance=0):
        token = by or self.owner
        status, _, answer = self.running.call("POST", f"/api/admin{path}", body, token, instance)
        assert status < 300, answer
        return answer

    def get(self, path):
        return self.running.call("GET", f"/api/admin{path}", token=self.owner)[2]

    def approve(self):
        [newest, *_] = self.get("/approvals?status=pending")["data"]
        return self.post(f"/approvals/{newest['id']}/approve", by=self.second)

    def add_key(self, label="main", parts=None):
        """Add a client and return its verified key."""
        body = make_body(wallet_address=make_wallet(), email=None)
        client = self.post(QUICK_CLIENT.removeprefix("/api/admin"), body)["client"]
        body = {"client_id": client["id"], "exchange": "okx", "label": label}
        body |= parts or credentials("okx", Scenario.TRADE_ONLY)
        key = self.post("/api-keys", body)["api_key"]
        assert key["status"] == "verified"
        return key

    def replace_key(self, key, parts):
        """Add a verified candidate for a live key and return it."""
        candidate = self.post(f"/api-keys/{key['id']}/replace", parts)["api_key"]
        assert candidate["status"] == "verified"
        return candidate

    def admit(self, name, enrol, **terms):
        """Invite a machine, let `enrol(code)` enrol its host, grant it keys, and return it."""
        invited = self.post("/machines", {"name": name, "addresses": ["127.0.0.1"]})
        printed = enrol(invited["code"])
        machine = self.get(f"/machines/{invited['machine']['id']}")["machine"]
        assert machine["fingerprint"] in printed
        self.approve()
        self.post("/grants", {"machine_id": machine["id"], **terms})
        self.approve()
        return machine

    def leases(self, **filters):
        """Return the leases, the latest first."""
        query = "&".join(f"{name}={value}" for name, value in {"size": 100, **filters}.items())
        return self.get(f"/leases?{query}")["data"]
