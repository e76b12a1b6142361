"""The PostgreSQL and Redis that `make test` and `make unit` start, and their programs."""

import os
import socket
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_for


def require():
    """Exit with a message if the servers are not running."""
    if "DATABASE_MIGRATION_URL" not in os.environ:
        pytest.exit("These tests need servers: make unit T=tests, or make test", returncode=2)


def redis_database(number):
    """Return the URL of a database of the running Redis."""
    return os.environ["REDIS_URL"].rsplit("/", 1)[0] + f"/{number}"


def postgres_program(name):
    """Return the path of a PostgreSQL program, which may not exist."""
    return Path(os.environ["POSTGRES_PROGRAMS"]) / name


def free_port():
    """Return a free port of the loopback address."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_listening(port):
    """Return True if a server accepts connections on the port; raise `OSError` otherwise."""
    with socket.create_connection(("127.0.0.1", port), timeout=60):
        return True


class Redis:
    """A Redis that a test can stop. It restarts empty on the same port."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.start()

    def start(self):
        """Start it and wait until it accepts connections."""
        command = [os.environ["REDIS_PROGRAM"], "--port", str(self.port), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            [*command, "--save", ""], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        wait_for(lambda: is_listening(self.port))

    def kill(self):
        """Kill it and wait until it has ended."""
        self.process.kill()
        self.process.wait()


@contextmanager
def own_redis(folder):
    """Run a separate Redis until the block ends."""
    redis = Redis(folder)
    try:
        yield redis
    finally:
        redis.kill()
