"""The PostgreSQL and Redis that `make test` and `make unit` start, and where their programs are."""

import os
import socket
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_for


def require():
    """End the run with a sentence if there are no servers."""
    if "DATABASE_MIGRATION_URL" not in os.environ:
        pytest.exit("These tests need servers: make unit T=tests, or make test", returncode=2)


def redis_database(number):
    """Return the URL of one of the databases of the Redis that was started."""
    return os.environ["REDIS_URL"].rsplit("/", 1)[0] + f"/{number}"


def postgres_program(name):
    """Return the path of one of PostgreSQL's programs, which need not be there."""
    return Path(os.environ["POSTGRES_PROGRAMS"]) / name


def free_port():
    """Return a port of the loopback address that is not in use."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_listening(port):
    """Return whether a server takes connections on the port."""
    with socket.create_connection(("127.0.0.1", port), timeout=60):
        return True


class Redis:
    """A Redis that a test may stop; it comes back empty on the same port."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.start()

    def start(self):
        """Start it and wait until it takes connections."""
        command = [os.environ["REDIS_PROGRAM"], "--port", str(self.port), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            [*command, "--save", ""], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        wait_for(lambda: is_listening(self.port))

    def kill(self):
        """Kill it and wait until its port is free."""
        self.process.kill()
        self.process.wait()


@contextmanager
def own_redis(folder):
    """Run a Redis of one's own until the block ends."""
    redis = Redis(folder)
    try:
        yield redis
    finally:
        redis.kill()
