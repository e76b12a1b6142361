"""Programs that a test owns, kills without warning and starts again."""

import os
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dev import postgres, servers
from dev.errors import CannotStart
from dev.launcher import Launcher
from tests.fleet import RAISED, fleet, own_redis


class Postgres:
    """A PostgreSQL that writes as safely as production, on the same data and port each time."""

    def __init__(self, launcher, folder):
        self._launcher, self._folder = launcher, folder
        self.start()

    def start(self, patience_s=30):
        """Start it; what a killed one left running holds its memory for a moment."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                found = postgres.start(self._launcher, self._folder, durable=True)
            except CannotStart:
                if time.monotonic() > deadline:
                    raise
                continue
            self.settings = dict(
                zip(("DATABASE_URL", "DATABASE_MIGRATION_URL"), found, strict=True)
            )
            return

    def kill(self):
        """Kill the postmaster; its children see that and end, without writing anything."""
        note = self._folder / "postgres" / "data" / "postmaster.pid"
        os.kill(int(note.read_text().split()[0]), signal.SIGKILL)


class Redis:
    """A Redis that comes back empty."""

    def __init__(self, stack, folder):
        self._stack, self._folder = stack, folder
        self.url, self._process = stack.enter_context(own_redis(folder))

    def start(self):
        """Start it on the port that it had."""
        port = int(self.url.rsplit(":", 1)[1].split("/")[0])
        _, self._process = self._stack.enter_context(own_redis(self._folder, port))

    def kill(self):
        """Kill it and wait until its port is free."""
        self._process.kill()
        self._process.wait()


class Worker:
    """One of the workers of an instance; gunicorn starts another by itself."""

    def __init__(self, gunicorn):
        self._gunicorn = gunicorn

    def start(self):
        """Leave it to gunicorn."""

    def kill(self):
        """Kill the oldest of them."""
        os.kill(children(self._gunicorn.pid)[0], signal.SIGKILL)


def children(pid):
    """Return the processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    if listed.exists():
        return [int(one) for one in listed.read_text().split()]
    asked = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(one) for one in asked.stdout.split()]


@contextmanager
def own_postgres():
    """Run a PostgreSQL that a test may kill; its data go when the block ends."""
    folder = servers.throwaway_folder()
    with Launcher(folder, remove=True) as launcher:
        yield Postgres(launcher, folder)


@contextmanager
def own_desk(folder, **settings):
    """Run an instance on servers of its own; yield it, its PostgreSQL and its Redis."""
    with ExitStack() as stack:
        postgres = stack.enter_context(own_postgres())
        redis = Redis(stack, folder)
        settings = RAISED | postgres.settings | settings
        running = stack.enter_context(
            fleet("desk", folder, instances=1, redis_url=redis.url, **settings)
        )
        yield running, postgres, redis
