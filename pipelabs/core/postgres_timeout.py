"""A deadline for every answer of PostgreSQL, kept on this side of the wire."""

import select
import time

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, connection, set_wait_callback

TIMEOUT_S = 6.0
"""Above `statement_timeout` (5 s): only a server that cannot keep its own time-outs gets here."""


def install(longest_s: float = TIMEOUT_S) -> None:
    """Let every wait of this process for PostgreSQL end in `OperationalError` after so long.

    A frozen server, or a network that swallows packets, still acknowledges on the kernel's level,
    so no other time-out ends the wait; each request would hold its thread for ever. Meant for
    processes that serve: a migration may take as long as it takes.
    """

    def wait(waiting: connection) -> None:
        deadline = time.monotonic() + longest_s
        while (state := waiting.poll()) != POLL_OK:
            watch = select.poll()
            watch.register(waiting, select.POLLIN if state == POLL_READ else select.POLLOUT)
            if not watch.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise psycopg2.OperationalError("PostgreSQL does not answer")

    set_wait_callback(wait)


def uninstall() -> None:
    """Wait for ever again."""
    set_wait_callback(None)
