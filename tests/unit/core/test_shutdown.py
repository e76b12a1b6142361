"""The first and the second SIGTERM."""

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


def test_second_sigterm_stops_at_once(restored):
    stopped = []
    shutdown.install_sigterm_handler(lambda: stopped.append("now"), 20)

    signal.raise_signal(signal.SIGTERM)
    first = stopped[:]
    signal.raise_signal(signal.SIGTERM)

    assert (first, stopped) == ([], ["now"])


def test_sigterm_without_delay_stops_at_once(restored):
    stopped = []
    shutdown.install_sigterm_handler(lambda: stopped.append("now"), 0)

    signal.raise_signal(signal.SIGTERM)

    assert stopped == ["now"]


def test_sigterm_stops_after_the_delay(restored):
    stopped = threading.Event()
    shutdown.install_sigterm_handler(stopped.set, 0.01)

    signal.raise_signal(signal.SIGTERM)

    assert stopped.wait(120)
