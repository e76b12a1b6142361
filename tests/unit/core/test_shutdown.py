"""What a first and a second SIGTERM do."""

import signal
import threading

import pytest

from pipelabs.core import shutdown


@pytest.fixture
def restored():
    signums = (signal.SIGTERM, signal.SIGALRM)
    before = {signum: signal.getsignal(signum) for signum in signums}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for signum, handler in before.items():
        signal.signal(signum, handler)
    shutdown._flag[0] = False


def test_a_second_term_stops_at_once(restored):
    stopped = []
    shutdown.on_term(lambda: stopped.append("now"), 20)

    signal.raise_signal(signal.SIGTERM)
    first = stopped[:]
    signal.raise_signal(signal.SIGTERM)

    assert (first, stopped) == ([], ["now"])


def test_without_seconds_to_drain_term_stops_at_once(restored):
    stopped = []
    shutdown.on_term(lambda: stopped.append("now"), 0)

    signal.raise_signal(signal.SIGTERM)

    assert stopped == ["now"]


def test_the_seconds_over_it_stops(restored):
    stopped = threading.Event()
    shutdown.on_term(stopped.set, 0.01)

    signal.raise_signal(signal.SIGTERM)

    assert stopped.wait(120)
