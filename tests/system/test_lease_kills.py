"""Kill -9 while machines lease keys and give them back: the table and the trail agree."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException

import pytest

from tests.factories import make_body, make_vault_keys, make_wallet
from tests.machine_host import MachineHost, OverHTTP
from tests.sizes import sized
from tests.stub_exchange import Scenario, credentials
from tests.system.killable import Worker, own_desk
from tests.system.lease_history import count_disagreeing
from tests.waiting import wait_for

MACHINES = 4
BETWEEN_KILLS = 40
EXPECTED: dict[str, set[str | int]] = {"worker": {"no response"}, "postgres": {503}}
"""Results of calls that did not succeed, by the process that is killed. A call whose response is
lost is signed again, so it is no replay."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory, stub):
    """Run an instance whose worker and PostgreSQL can be killed; yield all by name."""
    settings = {
        "VAULT_KEYS": make_vault_keys(),
        "EXCHANGE_BASE_URL": stub.base_url,
        "ENVIRONMENT": "staging",
        "RATELIMIT_MACHINE": "1000000/minute",
    }
    with own_desk(tmp_path_factory.mktemp("leases"), **settings) as (running, postgres, _):
        running.flask("seed", "exchanges")
        yield {
            "fleet": running,
            "postgres": postgres,
            "worker": Worker(running.masters[0]),
            "hosts": [add_machine(running, number) for number in range(MACHINES)],
        }


def add_machine(running, number):
    """Return an approved machine with a key of its own."""
    owner, second = running.sign_in(), running.sign_in("second@desk.local")

    def post(path, body=None, by=owner):
        status, _, answer = running.call("POST", f"/api/admin{path}", body, by)
        assert status < 300, answer
        return answer

    def approve():
        path = "/api/admin/approvals?status=pending"
        [newest, *_] = running.call("GET", path, token=owner)[2]["data"]
        post(f"/approvals/{newest['id']}/approve", by=second)

    client = post("/quick-client", make_body(wallet_address=make_wallet(), email=None))["client"]
    key = {"client_id": client["id"], "exchange": "okx", "label": f"engine-{number}"}
    post("/api-keys", key | credentials("okx", Scenario.TRADE_ONLY))
    invited = post("/machines", {"name": f"quoter-{number}"})
    host = MachineHost(OverHTTP(running.ports[0]))
    assert host.enrol(invited["code"]).status_code == 201
    approve()
    post("/grants", {"machine_id": invited["machine"]["id"], "client_id": client["id"]})
    approve()
    return host


class Load:
    """A thread for each machine, which leases its key and gives it back until it is stopped."""

    def __init__(self, hosts):
        self._hosts, self._stop = hosts, threading.Event()
        self.leased, self.other = [], set()

    @contextmanager
    def running(self):
        with ThreadPoolExecutor(len(self._hosts)) as pool:
            jobs = [pool.submit(self._work, host) for host in self._hosts]
            try:
                yield
            finally:
                self._stop.set()
        for job in jobs:
            job.result()

    def wait_for(self, count):
        wait_for(lambda: len(self.leased) >= count)

    def _work(self, host):
        while not self._stop.is_set():
            try:
                response = host.post("/api/machine/leases")
                if response.status_code == 200:
                    [answer] = response.json["data"]
                    lease_id = answer["lease"]["id"]
                    self.leased.append(lease_id)
                    response = host.post("/api/machine/acks", {"lease_ids": [lease_id]})
                if response.status_code != 200:
                    self.other.add(response.status_code)
            except (OSError, HTTPException):
                self.other.add("no response")


@sized(40, 400)
@pytest.mark.parametrize("name", ["worker", "postgres"])
def test_kill_9_leaves_no_lease_without_its_audit_row(desk, name, size, record_property):
    running, victim = desk["fleet"], desk[name]
    load = Load(desk["hosts"])

    with load.running():
        for count in range(10, size, BETWEEN_KILLS):
            load.wait_for(count)
            victim.kill()
            victim.start()
        load.wait_for(size)

    record_property("leased", len(load.leased))
    record_property("other results", sorted(map(str, load.other)))
    assert count_disagreeing(running) == 0
    assert load.other <= EXPECTED[name]
