"""Stopping and starting drop nothing: real gunicorns, real signals."""

import signal
import threading
import time

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED, fleet
from tests.waiting import PATIENCE_S, wait_for

CALLERS = 4
EVERY_S = CALLERS / 10
"""Ten creates a second, all callers together."""
DRAIN_S = 8
"""The balancer asks ten times a second, so a slow machine has time to see it."""


class Balancer:
    """Sends creates at a steady pace to whichever instance is said to be ready."""

    def __init__(self, running, token):
        self.running, self.token = running, token
        self.ready = list(range(len(running.ports)))
        self.answers, self.broken = [], []
        self.over = threading.Event()
        works = [self.watch, *[self.call] * CALLERS]
        self.threads = [threading.Thread(target=work) for work in works]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def call(self):
        while not self.over.wait(EVERY_S):
            body = make_body(wallet_address=make_wallet(), email=None)
            instance = self.ready[len(self.answers) % len(self.ready)]
            try:
                answer = self.running.call("POST", QUICK_CLIENT, body, self.token, instance)
            except OSError as error:
                self.broken.append(repr(error))
            else:
                self.answers.append(answer[0])

    def watch(self):
        while not self.over.wait(0.1):
            self.ready = [n for n in self.ready if is_ready(self.running, n)]


def is_ready(running, instance):
    try:
        return running.call("GET", "/ready", instance=instance)[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def running(tmp_path_factory, worker_id):
    folder = tmp_path_factory.mktemp("draining")
    with fleet(f"draining_{worker_id}", folder, DRAIN_S=str(DRAIN_S), **RAISED) as started:
        yield started


def test_hup_under_load_drops_nothing(running):
    with Balancer(running, running.sign_in()) as balancer:
        for _ in range(2):
            time.sleep(1)
            running.masters[0].send_signal(signal.SIGHUP)
        time.sleep(2)

    assert balancer.broken == []
    assert set(balancer.answers) == {201}


def test_term_under_load_is_red_first_and_drops_nothing(running):
    leaving = running.masters[0]
    with Balancer(running, running.sign_in()) as balancer:
        time.sleep(1)
        started = time.monotonic()
        leaving.send_signal(signal.SIGTERM)
        wait_for(lambda: not is_ready(running, 0))
        alive = running.call("GET", "/health")[0]
        leaving.wait(PATIENCE_S)
        took_s = time.monotonic() - started
        time.sleep(1)

    assert alive == 200
    assert took_s >= DRAIN_S
    assert balancer.broken == []
    assert set(balancer.answers) == {201}
    assert balancer.ready == [1]
