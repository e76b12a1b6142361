"""Kill -9 under load: nothing acknowledged is lost, and nothing is there twice."""

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
MEANWHILE: dict[str, set[str | int]] = {
    "worker": {"no answer"},
    "postgres": {503},
    "redis": set(),
}
"""What those are told who are not acknowledged."""
CREATED = (
    "SELECT client_id::text FROM audit_events WHERE status='SUCCESS' AND event='client.created'"
)


class Load:
    """Writers that create clients until told to stop, and what they were told."""

    def __init__(self, running, token):
        self._running, self._token = running, token
        self._over = threading.Event()
        self.acknowledged = []
        self.other: collections.Counter[str | int] = collections.Counter()

    @contextmanager
    def writing(self):
        """Write from eight threads for as long as the block runs."""
        with ThreadPoolExecutor(WRITERS) as pool:
            jobs = [pool.submit(self._write) for _ in range(WRITERS)]
            try:
                yield
            finally:
                self._over.set()
        for job in jobs:
            job.result()

    def wait_for(self, count):
        """Wait until so many creations were acknowledged."""
        wait_for(lambda: len(self.acknowledged) >= count)

    def back_after(self, moment):
        """Return the seconds until a call that began after a moment was acknowledged."""
        ended = [end for began, end, _ in list(self.acknowledged) if began > moment]
        return min(ended) - moment if ended else None

    def _write(self):
        while not self._over.is_set():
            body = make_body(wallet_address=make_wallet(), email=None)
            began = time.monotonic()
            try:
                status, _, answer = self._running.call("POST", QUICK_CLIENT, body, self._token)
            except (OSError, HTTPException):
                self.other["no answer"] += 1
                continue
            if status == 201:
                self.acknowledged.append((began, time.monotonic(), answer["client"]["id"]))
            else:
                self.other[status] += 1


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Run an instance on a PostgreSQL and a Redis that may be killed; yield all by their names."""
    with own_desk(tmp_path_factory.mktemp("chaos")) as (running, postgres, redis):
        worker = Worker(running.masters[0])
        yield {"fleet": running, "postgres": postgres, "redis": redis, "worker": worker}


@pytest.fixture
def token(desk):
    return desk["fleet"].sign_in()


def counted(found):
    """Return how often each is there."""
    return collections.Counter(found)


def lines_of_successes(running):
    fields = [line.split(" | ") for line in running.lines()]
    return [one[4] for one in fields if one[1] == "SUCCESS" and "event=client.created " in one[5]]


@sized(40, 400)
@pytest.mark.parametrize("name", ["worker", "postgres", "redis"])
def test_kill_9_under_load_loses_nothing_acknowledged(desk, token, name, size, record_property):
    running, victim = desk["fleet"], desk[name]
    load, back = Load(running, token), []

    with load.writing():
        for count in range(20, size, BETWEEN_KILLS):
            load.wait_for(count)
            struck = time.monotonic()
            victim.kill()
            victim.start()
            wait_for(lambda moment=struck: load.back_after(moment))
            back.append(load.back_after(struck))
        load.wait_for(size)
    running.flask("audit", "reconcile")

    acknowledged = {client_id for _, _, client_id in load.acknowledged}
    clients = counted(client_id for (client_id,) in running.query("SELECT id::text FROM clients"))
    rows = counted(client_id for (client_id,) in running.query(CREATED))
    record_property("acknowledged", len(acknowledged))
    record_property("lost", len(acknowledged - set(clients)))
    record_property("other answers", dict(load.other))
    record_property("back after s", [round(seconds, 2) for seconds in back])
    assert len(acknowledged) >= size
    assert acknowledged - set(clients) == set()
    assert rows == clients
    assert counted(lines_of_successes(running)) == rows
    assert set(load.other) <= MEANWHILE[name]


@contextmanager
def file_locked(running):
    """Keep the audit file to oneself: a worker that has committed waits there with its answer."""
    with Path(running.environment["AUDIT_LOG_FILE"]).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def trail_locked(running):
    """Keep the audit rows to oneself: a worker that has inserted waits there with its commit."""
    with running.owner() as owner:
        owner.execute(text("BEGIN"))
        owner.execute(text("LOCK TABLE audit_events"))
        yield
        owner.execute(text("ROLLBACK"))


STORED = "SELECT id::text FROM clients WHERE name = :name"
COMMITTED = "SELECT 1 FROM clients WHERE name = :name"
INSERTED = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'audit_events'::regclass"


@pytest.mark.parametrize(
    ("held", "got_there", "is_replay"),
    [(file_locked, COMMITTED, True), (trail_locked, INSERTED, False)],
    ids=["after the commit", "before the commit"],
)
def test_who_repeats_a_call_that_a_kill_cut_off_gets_its_one_client(
    desk, token, held, got_there, is_replay
):
    running, key = desk["fleet"], make_wallet()
    body = make_body(name=key, wallet_address=key, email=None)

    def create():
        return running.call("POST", QUICK_CLIENT, body, token, **{"Idempotency-Key": key})

    with ThreadPoolExecutor(1) as pool:
        with held(running):
            first = pool.submit(create)
            wait_for(lambda: running.query(got_there, name=key))
            stored = running.query(STORED, name=key)
            for worker in children(running.masters[0].pid):
                os.kill(worker, signal.SIGKILL)
        assert isinstance(first.exception(), OSError | HTTPException)
    wait_for(lambda: running.call("GET", "/health")[0] == 200)

    status, headers, answer = create()

    assert (status, headers["Idempotent-Replayed"]) == (201, "true" if is_replay else None)
    assert len(stored) == is_replay
    assert running.query(STORED, name=key) == [(answer["client"]["id"],)]
    assert [one for (one,) in running.query(CREATED)].count(answer["client"]["id"]) == 1
    running.flask("audit", "reconcile")
    assert lines_of_successes(running).count(answer["client"]["id"]) == 1
