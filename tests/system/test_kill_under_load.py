"""Kill -9 under load: no acknowledged client is lost or duplicated."""

import collections
import fcntl
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.sizes import sized
from tests.system.killable import Worker, children, own_desk
from tests.waiting import wait_for

WRITERS = 8
BETWEEN_KILLS = 100
EXPECTED_ERRORS: dict[str, set[str | int]] = {
    "worker": {"no response"},
    "postgres": {503},
    "redis": set(),
}
"""Results of calls that are not acknowledged, by the process that is killed."""
CREATED = (
    "SELECT client_id::text FROM audit_events WHERE status='SUCCESS' AND event='client.created'"
)


class Load:
    """Threads that create clients until they are stopped, and their results."""

    def __init__(self, running, token):
        self._running, self._token = running, token
        self._stop = threading.Event()
        self.acknowledged = []
        self.other: collections.Counter[str | int] = collections.Counter()

    @contextmanager
    def writing(self):
        """Create clients from eight threads until the block ends."""
        with ThreadPoolExecutor(WRITERS) as pool:
            jobs = [pool.submit(self._write) for _ in range(WRITERS)]
            try:
                yield
            finally:
                self._stop.set()
        for job in jobs:
            job.result()

    def wait_for(self, count):
        """Wait until this many creations are acknowledged."""
        wait_for(lambda: len(self.acknowledged) >= count)

    def recovery_time(self, killed_at):
        """Return the seconds until the first acknowledgement of a call started after the kill."""
        ends = [end for start, end, _ in list(self.acknowledged) if start > killed_at]
        return min(ends) - killed_at if ends else None

    def _write(self):
        while not self._stop.is_set():
            body = make_body(wallet_address=make_wallet(), email=None)
            start = time.monotonic()
            try:
                status, _, answer = self._running.call("POST", QUICK_CLIENT, body, self._token)
            except (OSError, HTTPException):
                self.other["no response"] += 1
                continue
            if status == 201:
                self.acknowledged.append((start, time.monotonic(), answer["client"]["id"]))
            else:
                self.other[status] += 1


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Run an instance with a PostgreSQL and a Redis that can be killed; yield all by name."""
    with own_desk(tmp_path_factory.mktemp("chaos")) as (running, postgres, redis):
        worker = Worker(running.masters[0])
        yield {"fleet": running, "postgres": postgres, "redis": redis, "worker": worker}


@pytest.fixture
def token(desk):
    return desk["fleet"].sign_in()


def logged_client_ids(running):
    fields = [line.split(" | ") for line in running.lines()]
    return [
        line[4] for line in fields if line[1] == "SUCCESS" and "event=client.created " in line[5]
    ]


@sized(40, 400)
@pytest.mark.parametrize("name", ["worker", "postgres", "redis"])
def test_kill_9_under_load_loses_no_acknowledged_client(desk, token, name, size, record_property):
    running, victim = desk["fleet"], desk[name]
    load, recovery_times = Load(running, token), []

    with load.writing():
        for count in range(20, size, BETWEEN_KILLS):
            load.wait_for(count)
            killed_at = time.monotonic()
            victim.kill()
            victim.start()
            wait_for(lambda start=killed_at: load.recovery_time(start))
            recovery_times.append(load.recovery_time(killed_at))
        load.wait_for(size)
    running.flask("audit", "reconcile")

    acknowledged = {client_id for _, _, client_id in load.acknowledged}
    clients = collections.Counter(
        client_id for (client_id,) in running.query("SELECT id::text FROM clients")
    )
    rows = collections.Counter(client_id for (client_id,) in running.query(CREATED))
    record_property("acknowledged", len(acknowledged))
    record_property("lost", len(acknowledged - set(clients)))
    record_property("other results", dict(load.other))
    record_property("recovery s", [round(seconds, 2) for seconds in recovery_times])
    assert len(acknowledged) >= size
    assert acknowledged - set(clients) == set()
    assert rows == clients
    assert collections.Counter(logged_client_ids(running)) == rows
    assert set(load.other) <= EXPECTED_ERRORS[name]


@contextmanager
def lock_file(running):
    """Lock the audit file, so that a worker waits after its commit."""
    with Path(running.environment["AUDIT_LOG_FILE"]).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def lock_trail(running):
    """Lock the audit table, so that a worker waits before its commit."""
    with running.owner() as owner:
        owner.execute(text("BEGIN"))
        owner.execute(text("LOCK TABLE audit_events"))
        yield
        owner.execute(text("ROLLBACK"))


STORED = "SELECT id::text FROM clients WHERE name = :name"
COMMITTED = "SELECT 1 FROM clients WHERE name = :name"
INSERTED = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'audit_events'::regclass"


@pytest.mark.parametrize(
    ("lock", "reached", "is_replay"),
    [(lock_file, COMMITTED, True), (lock_trail, INSERTED, False)],
    ids=["after the commit", "before the commit"],
)
def test_retry_after_a_killed_request_creates_one_client(desk, token, lock, reached, is_replay):
    running, key = desk["fleet"], make_wallet()
    body = make_body(name=key, wallet_address=key, email=None)

    def create():
        return running.call("POST", QUICK_CLIENT, body, token, **{"Idempotency-Key": key})

    with ThreadPoolExecutor(1) as pool:
        with lock(running):
            first = pool.submit(create)
            wait_for(lambda: running.query(reached, name=key))
            stored = running.query(STORED, name=key)
            for worker in children(running.masters[0].pid):
                os.kill(worker, signal.SIGKILL)
        assert isinstance(first.exception(), OSError | HTTPException)
    wait_for(lambda: running.call("GET", "/health")[0] == 200)

    status, headers, answer = create()

    assert (status, headers["Idempotent-Replayed"]) == (201, "true" if is_replay else None)
    assert len(stored) == is_replay
    assert running.query(STORED, name=key) == [(answer["client"]["id"],)]
    assert [client_id for (client_id,) in running.query(CREATED)].count(answer["client"]["id"]) == 1
    running.flask("audit", "reconcile")
    assert logged_client_ids(running).count(answer["client"]["id"]) == 1
