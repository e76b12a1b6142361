"""Probes during graceful shutdown."""

import signal

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


def test_during_shutdown_ready_fails_and_health_succeeds(client, restored):
    shutdown.start_shutdown()

    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
