"""Graceful shutdown and reload: gunicorn instances drop no request."""

import signal
import threading
import time

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED_LIMITS, fleet
from tests.waiting import TIMEOUT_S, wait_for

CALLERS = 4
EVERY_S = CALLERS / 10
"""Interval of each caller, so that all together send ten creates a second."""
DRAIN_S = 8
"""Long enough that the balancer, which checks every 0.1 s, notices even on a slow machine."""


class Balancer:
    """Sends creates at a steady pace to the instances that report to be ready."""

    def __init__(self, running, token):
        self.running, self.token = running, token
        self.ready = list(range(len(running.ports)))
        self.statuses, self.errors = [], []
        self.stop = threading.Event()
        targets = [self.watch, *[self.call] * CALLERS]
        self.threads = [threading.Thread(target=target) for target in targets]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def call(self):
        while not self.stop.wait(EVERY_S):
            body = make_body(wallet_address=make_wallet(), email=None)
            instance = self.ready[len(self.statuses) % len(self.ready)]
            try:
                answer = self.running.call("POST", QUICK_CLIENT, body, self.token, instance)
            except OSError as error:
                self.errors.append(repr(error))
            else:
                self.statuses.append(answer[0])

    def watch(self):
        while not self.stop.wait(0.1):
            self.ready = [n for n in self.ready if is_ready(self.running, n)]


def is_ready(running, instance):
    try:
        return running.call("GET", "/ready", instance=instance)[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def running(tmp_path_factory, worker_id):
    folder = tmp_path_factory.mktemp("shutdown")
    with fleet(f"shutdown_{worker_id}", folder, DRAIN_S=str(DRAIN_S), **RAISED_LIMITS) as started:
        yield started


def test_sighup_under_load_drops_no_request(running):
    with Balancer(running, running.sign_in()) as balancer:
        for _ in range(2):
            time.sleep(1)
            running.masters[0].send_signal(signal.SIGHUP)
        time.sleep(2)

    assert balancer.errors == []
    assert set(balancer.statuses) == {201}


def test_sigterm_under_load_fails_readiness_first_and_drops_no_request(running):
    stopping = running.masters[0]
    with Balancer(running, running.sign_in()) as balancer:
        time.sleep(1)
        started = time.monotonic()
        stopping.send_signal(signal.SIGTERM)
        wait_for(lambda: not is_ready(running, 0))
        health = running.call("GET", "/health")[0]
        stopping.wait(TIMEOUT_S)
        took_s = time.monotonic() - started
        time.sleep(1)

    assert health == 200
    assert took_s >= DRAIN_S
    assert balancer.errors == []
    assert set(balancer.statuses) == {201}
    assert balancer.ready == [1]
