"""Client-side timeout for every PostgreSQL call."""

import select
import time

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, connection, set_wait_callback

TIMEOUT_S = 6.0
"""Longer than `statement_timeout` (5 s), so it only fires when the server's timeouts do not."""


class NoAnswer(psycopg2.OperationalError):
    """PostgreSQL did not answer in time. Asking again would take as long."""


def install(timeout_s: float = TIMEOUT_S) -> None:
    """Make every wait of this process for PostgreSQL raise `NoAnswer` after `timeout_s`.

    A frozen server, or a network that drops packets, may still acknowledge on the TCP level, so
    no other timeout ends the wait and each request would block its thread forever. Install it
    in serving processes only: a migration may take as long as it needs.
    """

    def wait(waiting: connection) -> None:
        state = waiting.poll()
        deadline = time.monotonic() + timeout_s
        watch = select.poll()
        while state != POLL_OK:
            watch.register(waiting, select.POLLIN if state == POLL_READ else select.POLLOUT)
            if not watch.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise NoAnswer("PostgreSQL does not answer")
            state = waiting.poll()

    set_wait_callback(wait)


def uninstall() -> None:
    """Wait without a client-side timeout again."""
    set_wait_callback(None)
