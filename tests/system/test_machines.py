"""A key's way to an engine: real agent processes, two instances, and the stub exchange."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from tests.stub_exchange import Scenario, credentials
from tests.system.engine_host import Host, Wire
from tests.system.test_secret_leaks import dump_database, encoded_forms
from tests.waiting import wait_for

GAPS = """
SELECT count(*) FROM leases WHERE NOT EXISTS (
    SELECT FROM audit_events
    WHERE event = 'lease.granted' AND details ->> 'lease' = leases.id::text
)
"""


@pytest.fixture
def wire(desk):
    wire = Wire(desk.running.ports[0])
    yield wire
    wire.close()


@pytest.fixture
def host(desk, wire, tmp_path):
    """An approved machine with a grant for everything."""
    host = Host(tmp_path / "host", wire.port)
    desk.admit("quoter-1", host.enrol, max_holders=1)
    return host


@pytest.fixture
def engine(desk, host):
    """A running engine with the key, under its agent."""
    desk.add_key()
    process = host.start_engine()
    yield process
    process.kill()
    process.wait(60)


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
    [lease] = desk.leases()
    assert lease["end_reason"] == "stopped"
    wait_for(lambda: desk.leases()[0]["acknowledged_at"])
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

    [lease] = desk.leases()
    assert lease["end_reason"] == "returned"
    assert lease["acknowledged_at"]


def test_engine_moves_to_the_new_key_after_a_cut_over(desk, host, engine):
    old = host.engine_keys()
    [live] = desk.get("/api-keys")["data"]
    newer = credentials("okx", Scenario.EXPIRING)
    candidate = desk.replace_key(live, newer)
    host.keys.unlink()

    desk.post(f"/api-keys/{candidate['id']}/cut-over")

    new = host.engine_keys()
    assert new["pid"] != old["pid"]
    assert set(credentials("okx", Scenario.EXPIRING).values()) <= set(new.values())
    wait_for(lambda: {lease["end_reason"] for lease in desk.leases()} == {"superseded", None})


def test_killed_agent_holds_its_key_until_the_lease_is_over(desk, host, engine):
    host.engine_keys()
    engine.kill()
    engine.wait(60)
    wait_for(lambda: not host.has_engine())

    desk.post("/stops", {"scope": "everything", "reason": "a test"}, by=desk.operator)

    [lease] = desk.leases()
    assert lease["end_reason"] == "stopped"
    assert lease["acknowledged_at"] is None
    with pytest.raises(subprocess.CalledProcessError) as failed:
        desk.running.flask("stops", "silent")
    assert lease["machine_id"] in failed.value.stdout
