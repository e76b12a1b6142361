"""A key's way to an engine: real agent processes, two instances, and the stub exchange."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from tests.factories import QUICK_CLIENT, make_body, make_vault_keys
from tests.instances import RAISED_LIMITS, fleet
from tests.paths import ROOT
from tests.stub_exchange import Scenario, credentials
from tests.system.test_secret_leaks import dump_database, encoded_forms
from tests.waiting import wait_for

ENGINE = """
import json, os, pathlib, signal, sys, time
target = pathlib.Path(sys.argv[1])
keys = {name: text for name, text in os.environ.items() if name.startswith("OKX_")}
part = target.with_suffix(".part")
part.write_text(json.dumps(keys | {"pid": os.getpid()}))
part.rename(target)
signal.pause()
"""
"""An engine that says which keys it has, and trades until it is ended."""
GAPS = """
SELECT count(*) FROM leases WHERE NOT EXISTS (
    SELECT FROM audit_events
    WHERE event = 'lease.granted' AND details ->> 'lease' = leases.id::text
)
"""


class Desk:
    """Two owners and an operator, calling the first of two instances."""

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

    def add_key(self):
        client = self.post(QUICK_CLIENT.removeprefix("/api/admin"), make_body())["client"]
        body = {"client_id": client["id"], "exchange": "okx", "label": "main"}
        body |= credentials("okx", Scenario.TRADE_ONLY)
        key = self.post("/api-keys", body)["api_key"]
        assert key["status"] == "verified"
        return key


@pytest.fixture
def desk(stub, tmp_path, worker_id):
    settings = RAISED_LIMITS | {
        "VAULT_KEYS": make_vault_keys(),
        "EXCHANGE_BASE_URL": stub.base_url,
        "ENVIRONMENT": "staging",
        "LOG_LEVEL": "DEBUG",
        "RATELIMIT_MACHINE": "1000000/minute",
    }
    with fleet(f"machines_{worker_id}", tmp_path, instances=2, **settings) as running:
        running.flask("seed", "exchanges")
        yield Desk(running)


class Host:
    """The host of an engine: a folder with the agent, its identity and what its engine says."""

    def __init__(self, folder, port):
        folder.mkdir()
        (folder / "pipelabs_agent").symlink_to(ROOT / "pipelabs/agent")
        self.url, self.keys = f"http://127.0.0.1:{port}", folder / "keys.json"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(folder),
            "PIPELABS_AGENT_IDENTITY": str(folder / "identity.json"),
        }

    def agent(self, *words):
        return subprocess.run(
            [sys.executable, "-m", "pipelabs_agent", *words],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def start_engine(self):
        self.keys.unlink(missing_ok=True)
        command = ["exec", "--map", "ccxt", "--", sys.executable, "-c", ENGINE, str(self.keys)]
        return subprocess.Popen(
            [sys.executable, "-m", "pipelabs_agent", *command], env=self.environment
        )

    def engine_keys(self):
        wait_for(self.keys.exists)
        return json.loads(self.keys.read_text())


class Wire:
    """A proxy on the way from agents to an instance, which keeps all that passes."""

    def __init__(self, port):
        self.passed, self._target = [], port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source, sink):
        with suppress(OSError), source, sink:
            while data := source.recv(65536):
                self.passed.append(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def wire(desk):
    wire = Wire(desk.running.ports[0])
    yield wire
    wire.close()


@pytest.fixture
def host(desk, wire, tmp_path):
    """An approved machine with a grant for everything."""
    host = Host(tmp_path / "host", wire.port)
    invited = desk.post("/machines", {"name": "quoter-1", "addresses": ["127.0.0.1"]})
    printed = host.agent("enroll", host.url, invited["code"])
    machine = desk.get(f"/machines/{invited['machine']['id']}")["machine"]
    assert machine["fingerprint"] in printed
    desk.approve()
    desk.post("/grants", {"machine_id": machine["id"], "max_holders": 1})
    desk.approve()
    return host


@pytest.fixture
def engine(desk, host):
    """A running engine with the key, under its agent."""
    desk.add_key()
    process = host.start_engine()
    yield process
    process.kill()
    process.wait(60)


def leases(desk):
    return desk.get("/leases")["data"]


def test_engine_gets_its_key_and_a_stop_on_another_instance_ends_it(desk, host, wire, engine):
    keys = host.engine_keys()
    parts = credentials("okx", Scenario.TRADE_ONLY)
    assert set(parts.values()) <= set(keys.values())
    status = json.loads(host.agent("status", "--json"))
    assert "quoter-1" in json.dumps(status)

    stop = {"scope": "exchange", "exchange": "okx", "reason": "a test"}
    raised = desk.post("/stops", stop, by=desk.operator, instance=1)

    assert raised["reach"] == {"leases": 1, "machines": 1}
    engine.wait(60)
    [lease] = leases(desk)
    assert lease["end_reason"] == "stopped"
    wait_for(lambda: leases(desk)[0]["acknowledged_at"])
    with pytest.raises(ProcessLookupError):
        os.kill(keys["pid"], 0)
    assert desk.running.query(GAPS) == [(0,)]
    reject_leaks(desk, host, wire)


def reject_leaks(desk, host, wire):
    """Search what is stored, logged, on the wire and on the host's disk for the key's secret."""
    secret = credentials("okx", Scenario.TRADE_ONLY)["api_secret"]
    folder = Path(desk.running.environment["AUDIT_LOG_FILE"]).parent
    texts = [dump_database(desk.running), (folder / "output.log").read_text(errors="replace")]
    texts += ["\n".join(desk.running.lines())]
    texts += [Path(host.environment["PIPELABS_AGENT_IDENTITY"]).read_text()]
    texts += [b"".join(wire.passed).decode("latin-1"), dump_redis(desk.running)]
    assert '"sealed"' in texts[-2]
    for form in encoded_forms(secret):
        assert not any(form in text for text in texts)


def dump_redis(running):
    """Return all that Redis has."""
    with redis.Redis.from_url(running.environment["REDIS_URL"]) as store:
        return b"".join(store.dump(name) or b"" for name in store.scan_iter()).decode("latin-1")


def test_engine_that_ends_gives_its_key_back(desk, host, engine):
    os.kill(host.engine_keys()["pid"], signal.SIGTERM)

    engine.wait(60)

    [lease] = leases(desk)
    assert lease["end_reason"] == "returned"
    assert lease["acknowledged_at"]


def test_engine_moves_to_the_new_key_after_a_cut_over(desk, host, engine):
    old = host.engine_keys()
    [live] = desk.get("/api-keys")["data"]
    newer = credentials("okx", Scenario.EXPIRING)
    candidate = desk.post(f"/api-keys/{live['id']}/replace", newer)["api_key"]
    host.keys.unlink()

    desk.post(f"/api-keys/{candidate['id']}/cut-over")

    new = host.engine_keys()
    assert new["pid"] != old["pid"]
    assert set(credentials("okx", Scenario.EXPIRING).values()) <= set(new.values())
    wait_for(lambda: {lease["end_reason"] for lease in leases(desk)} == {"superseded", None})


def test_killed_agent_holds_its_key_until_the_lease_is_over(desk, host, engine):
    keys = host.engine_keys()
    engine.kill()
    engine.wait(60)
    os.kill(keys["pid"], signal.SIGKILL)

    desk.post("/stops", {"scope": "everything", "reason": "a test"}, by=desk.operator)

    [lease] = leases(desk)
    assert lease["end_reason"] == "stopped"
    assert lease["acknowledged_at"] is None
    with pytest.raises(subprocess.CalledProcessError) as failed:
        desk.running.flask("stops", "silent")
    assert lease["machine_id"] in failed.value.stdout
