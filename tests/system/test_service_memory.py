"""Leasing a key leaves nothing of it in the memory of the service."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.factories import make_vault_keys
from tests.instances import RAISED_LIMITS, fleet
from tests.stub_exchange import Scenario, credentials
from tests.system.killable import children
from tests.system.test_lease_kills import add_machine
from tests.system.test_secret_leaks import encoded_forms

LEASES, MORE_KEYS = 20, 7
WRITABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw")


@pytest.fixture
def running(stub, tmp_path, worker_id):
    settings = RAISED_LIMITS | {
        "VAULT_KEYS": make_vault_keys(),
        "EXCHANGE_BASE_URL": stub.base_url,
        "ENVIRONMENT": "staging",
        "RATELIMIT_MACHINE": "1000000/minute",
    }
    with fleet(f"memory_{worker_id}", tmp_path, instances=2, **settings) as running:
        running.flask("seed", "exchanges")
        yield running


def add_keys(running):
    """Add keys to the client of the machine, with the same credentials."""
    token = running.sign_in()
    [client] = running.call("GET", "/api/admin/clients", token=token)[2]["data"]
    for number in range(MORE_KEYS):
        key = {"client_id": client["id"], "exchange": "okx", "label": f"more-{number}"}
        key |= credentials("okx", Scenario.TRADE_ONLY)
        assert running.call("POST", "/api/admin/api-keys", key, token)[0] == 201


def read_memory(pid):
    """Return the memory that a core file would contain."""
    parts = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if match := WRITABLE.match(line):
                start, end = (int(place, 16) for place in match.groups())
                memory.seek(start)
                parts.append(memory.read(end - start))
    return b"".join(parts)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/PID/mem, which only Linux has")
def test_leased_secrets_are_not_in_the_memory_of_the_service(running, record_property):
    host = add_machine(running, 0)
    host.client = type(host.client)(running.ports[1])
    add_keys(running)
    for _ in range(LEASES):
        answers = host.post("/api/machine/leases").json["data"]
        assert [answer["is_leased"] for answer in answers] == [True] * (1 + MORE_KEYS)
    secret = credentials("okx", Scenario.TRADE_ONLY)["api_secret"]
    master = running.masters[1].pid

    if os.geteuid() != 0:
        # Not even the service's own user may read it.
        with pytest.raises(PermissionError):
            read_memory(children(master)[0])
        return
    memories = [read_memory(pid) for pid in (master, *children(master))]

    record_property("bytes searched", sum(map(len, memories)))
    key = running.environment["SECRET_KEY"].encode()
    assert all(key in memory for memory in memories)
    for form in encoded_forms(secret):
        assert not any(form.encode() in memory for memory in memories)
