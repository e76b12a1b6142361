"""The README's tour of an engine: enrol, approve, quote, stop."""

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_vault_keys
from tests.instances import RAISED_LIMITS, fleet
from tests.paths import ROOT
from tests.stub_exchange import Scenario, credentials
from tests.waiting import wait_for

KEY = credentials("okx", Scenario.QUOTER)
QUOTE = re.compile(r"[\d:]{8}  BTC/USDT  \d+\.\d / \d+\.\d  (0|2) replaced\n")


class Demo:
    """A desk with one owner, its service, and the host of a quoter."""

    def __init__(self, running, environment):
        self.running = running
        self.owner = running.sign_in()
        self.environment = environment

    def post(self, path, body=None):
        status, _, answer = self.running.call("POST", f"/api/admin{path}", body, self.owner)
        assert status < 300, answer
        return answer

    def get(self, path):
        return self.running.call("GET", f"/api/admin{path}", token=self.owner)[2]["data"]

    def approve(self):
        [pending] = self.get("/approvals?status=pending")
        self.post(f"/approvals/{pending['id']}/approve")

    def start(self, *words, **options):
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *words):
        output, _ = (program := self.start(*words)).communicate()
        return program.returncode, output


@pytest.fixture(scope="module")
def demo(stub, tmp_path_factory, worker_id):
    folder = tmp_path_factory.mktemp("demo")
    settings = RAISED_LIMITS | {
        "VAULT_KEYS": make_vault_keys(),
        "EXCHANGE_BASE_URL": stub.base_url,
        "ENVIRONMENT": "local",
        "SINGLE_OWNER_APPROVALS": "1",
    }
    environment = os.environ | {
        "PIPELABS_AGENT_IDENTITY": str(folder / "identity.json"),
        "EXCHANGE_BASE_URL": stub.base_url,
    }
    with fleet(f"quoter_{worker_id}", folder, instances=1, **settings) as running:
        running.flask("seed", "exchanges")
        yield Demo(running, environment)


@pytest.fixture
def quoter(demo, stub):
    """A quoter that has replaced its quotes once, enrolled on first use."""
    if not demo.get("/machines"):
        enrol(demo)
    with demo.start("dev.quoter") as process:
        lines = [process.stdout.readline() for _ in range(2)]
        assert all(map(QUOTE.fullmatch, lines)), "".join(lines)
        assert stub.orders.accepted[KEY["api_key"]] >= 4
        yield process
        process.kill()


def enrol(demo):
    assert demo.run("dev.quoter")[1].endswith("Enrol this host first.\n")
    invited = demo.post("/machines", {"name": "quoter", "addresses": ["127.0.0.1"]})
    url = f"http://127.0.0.1:{demo.running.ports[0]}"
    status, printed = demo.run("dev.agent", "enroll", url, invited["code"])
    assert (status, "This host is quoter." in printed) == (0, True)
    demo.approve()
    demo.post("/grants", {"machine_id": invited["machine"]["id"], "exchange": "okx"})
    demo.approve()
    client = demo.post(QUICK_CLIENT.removeprefix("/api/admin"), make_body())["client"]
    demo.post("/api-keys", {"client_id": client["id"], "exchange": "okx", "label": "main", **KEY})


def test_quoter_that_is_interrupted_cancels_its_quotes_and_returns_the_key(demo, stub, quoter):
    quoter.send_signal(signal.SIGTERM)

    output, _ = quoter.communicate()
    [lease] = demo.get("/leases")
    assert (quoter.returncode, lease["end_reason"]) == (0, "returned")
    assert output.endswith("The quotes are cancelled, and the key is given back.\n")
    assert stub.orders.list_open(KEY["api_key"]) == {}


def test_stop_ends_the_quoter_and_is_acknowledged(demo, stub, quoter):
    reach = demo.post("/stops", {"scope": "exchange", "exchange": "okx", "reason": "a test"})[
        "reach"
    ]

    output, _ = quoter.communicate()

    assert reach == {"leases": 1, "machines": 1}
    assert quoter.returncode == 1
    assert "The quoter has ended. " in output
    assert output.endswith(" The exchange cancels the open quotes within 10 seconds.\n")
    wait_for(lambda: demo.get("/leases")[0]["acknowledged_at"])
    assert demo.get("/leases")[0]["end_reason"] == "stopped"
    assert stub.orders.rejected[KEY["api_key"]] == 0
