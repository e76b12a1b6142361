"""Kill -9 of agents while they lease keys, run engines and give the keys back."""

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.sizes import sized
from tests.stub_exchange import Scenario, credentials
from tests.system.engine_host import Host, Wire
from tests.system.lease_history import count_disagreeing, list_shared
from tests.waiting import wait_for

MACHINES = 4
"""Two for each key, of which one at a time may hold it."""
DENIED, ENDED = 75, 128 + signal.SIGTERM
"""Exit statuses of an agent that does not get its key, and of one whose engine was ended."""
HELD_ELSEWHERE = "Another machine holds this key. (held_elsewhere)"
MAX_TRIES = 200
"""Of an engine to get a key that another machine uses in between."""
LONGEST_S = 1.0
"""Of a random time before a kill. An engine is usually up by then."""


@dataclass(frozen=True)
class Moment:
    """When an agent is killed."""

    on_wire: bytes = b""
    """What it sends or gets, and neither side receives before."""
    is_running: bool = False
    """Once its engine runs."""
    is_ended: bool = False
    """After its engine was ended."""
    holds: bool = False
    """Whether its machine certainly has a lease then."""


MOMENTS = {
    "at once": Moment(),
    "at a random time": Moment(),
    "asking for a lease": Moment(on_wire=b"POST /api/machine/leases"),
    "getting a lease": Moment(on_wire=b'"sealed"', holds=True),
    "running its engine": Moment(is_running=True, holds=True),
    "giving the key back": Moment(on_wire=b"POST /api/machine/acks", is_ended=True),
}


class Machine:
    """A host whose agent is killed and started again."""

    def __init__(self, folder, port, parts):
        """`parts` are the credentials that its engine should get."""
        self.wire = Wire(port, self._watch)
        self.host = Host(folder, self.wire.port)
        self.denials = []
        self.kills: Counter[str] = Counter()
        self._parts = parts
        self._random = random.Random(folder.name)  # noqa: S311 - a time is no secret
        self._said = folder / "agent.log"
        self._turn, self._moment = threading.Lock(), None

    def kill_agent(self, name):
        """Start the engine and kill its agent at a moment, which may need several tries."""
        moment = MOMENTS[name]
        while True:
            process = self._start(moment)
            if name == "at a random time":
                time.sleep(self._random.uniform(0, LONGEST_S))
            if name.startswith("at "):
                process.kill()
            elif (moment.is_running or moment.is_ended) and self._is_up(process):
                process.send_signal(signal.SIGTERM if moment.is_ended else signal.SIGKILL)
            if self._wait(process) == -signal.SIGKILL:
                self.kills[name] += 1
                return

    def run_engine(self):
        """Run the engine until it has its key, and end it; return how often that was denied."""
        for denials in range(MAX_TRIES):
            process = self._start()
            if self._is_up(process):
                assert set(self._parts.values()) <= set(self.host.engine_keys().values())
                process.terminate()
                assert self._wait(process) == ENDED
                return denials
            self._wait(process)
        raise AssertionError(self.denials[-1])

    def _start(self, moment=None):
        with self._turn:
            self._moment = moment
            with self._said.open("w") as said:
                self._process = self.host.start_engine(stderr=said)
            return self._process

    def _watch(self, data):
        with self._turn:
            if self._moment and self._moment.on_wire and self._moment.on_wire in data:
                self._process.kill()
                self._process.wait()

    def _is_up(self, process):
        wait_for(lambda: self.host.keys.exists() or process.poll() is not None)
        return self.host.keys.exists()

    def _wait(self, process):
        """Return the agent's exit status, when no engine is left."""
        status = process.wait()
        if status == DENIED:
            self.denials.append(self._said.read_text())
        wait_for(lambda: not self.host.has_engine())
        return status


@pytest.fixture
def machines(desk, tmp_path):
    """Machines with a grant each; two and two have the same key."""
    accounts = [number // 2 for number in range(MACHINES)]
    parts = [credentials("okx", Scenario.QUOTER, account) for account in accounts]
    machines = [
        Machine(tmp_path / f"host-{number}", desk.running.ports[number % 2], parts[number])
        for number in range(MACHINES)
    ]
    for account in sorted(set(accounts)):
        desk.add_key(f"engine-{account}", parts[2 * account])
    for number, machine in enumerate(machines):
        label = f"engine-{accounts[number]}"
        desk.admit(f"quoter-{number}", machine.host.enrol, label=label)
    yield machines
    for machine in machines:
        machine.wire.close()


@sized(1, 15)
def test_kill_9_of_agents_leaves_every_key_to_its_machine(desk, machines, size, record_property):
    def play(place):
        names = list(MOMENTS)
        for number in range(size * len(names)):
            name = names[(number + place) % len(names)]
            machines[place].kill_agent(name)
            denials = machines[place].run_engine()
            assert not (MOMENTS[name].holds and denials), name
            assert count_disagreeing(desk.running) == 0

    begun = time.monotonic()
    with ThreadPoolExecutor(MACHINES) as pool:
        list(pool.map(play, range(MACHINES)))

    denials = [said for machine in machines for said in machine.denials]
    record_property("kills", dict(sum((machine.kills for machine in machines), Counter())))
    record_property("denials", len(denials))
    record_property("s", round(time.monotonic() - begun))
    assert all(HELD_ELSEWHERE in said for said in denials)
    assert list_shared(desk.running) == []
    assert {machine["status"] for machine in desk.get("/machines")["data"]} == {"active"}
    assert {lease["end_reason"] for lease in desk.leases()} == {"returned"}
    assert all(lease["acknowledged_at"] for lease in desk.leases())


def test_key_of_a_killed_agent_goes_to_another_machine_once_it_is_given_back(desk, machines):
    holder, other, *_ = machines
    holder.kill_agent("running its engine")

    denied = other.host.start_engine(stderr=subprocess.PIPE)
    _, said = denied.communicate()

    assert (denied.returncode, HELD_ELSEWHERE in said) == (DENIED, True)
    assert holder.run_engine() == 0
    assert other.run_engine() == 0
    assert list_shared(desk.running) == []
    assert count_disagreeing(desk.running) == 0
