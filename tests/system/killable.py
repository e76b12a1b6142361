"""Servers and workers that a test owns, kills without warning and starts again."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from tests.instances import RAISED, fleet
from tests.servers import free_port, own_redis, postgres_program
from tests.waiting import wait_for


class Postgres:
    """A PostgreSQL that writes as safely as production, on the same data and port each time."""

    def __init__(self, folder):
        self._folder, self._port = folder, free_port()
        # It does not run as root.
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._options: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": os.defpath, "LC_ALL": "C"},
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": [] if os.geteuid() == 0 else None,
        }
        os.chown(folder, account.pw_uid, account.pw_gid)
        words = [f"--pgdata={folder}", "--username=owner", "--auth=trust", "--no-sync"]
        words += ["--encoding=UTF8", "--locale=C"]
        subprocess.run([postgres_program("initdb"), *words], check=True, **self._options)
        self.start()
        with closing(psycopg2.connect(self._url("owner", "postgres"))) as connection:
            connection.autocommit = True
            connection.cursor().execute("CREATE ROLE pipelabs LOGIN")
            connection.cursor().execute("CREATE DATABASE pipelabs")
        self.settings = {
            "DATABASE_URL": self._url("pipelabs"),
            "DATABASE_MIGRATION_URL": self._url("owner"),
        }

    def start(self):
        """Start it; what a killed one left running holds its memory for a moment."""
        wait_for(self._answers)

    def kill(self):
        """Kill the postmaster; its children see that and end, without writing anything."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        """Stop it without waiting for its clients."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def _answers(self):
        """Return whether it takes connections; start it if it is not running."""
        process = getattr(self, "_process", None)
        if process is None or process.poll() is not None:
            words = ["-D", self._folder, "-p", str(self._port), "-c", "unix_socket_directories="]
            self._process = subprocess.Popen(
                [postgres_program("postgres"), *words], **self._options
            )
        try:
            psycopg2.connect(self._url("owner", "postgres"), connect_timeout=60).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _url(self, role, database="pipelabs"):
        return f"postgresql://{role}@127.0.0.1:{self._port}/{database}"


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
        return [int(child) for child in listed.read_text().split()]
    asked = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in asked.stdout.split()]


@contextmanager
def own_postgres():
    """Run a PostgreSQL that a test may kill; its data go when the block ends."""
    # Not below pytest's own folder, which is closed to other accounts.
    folder = tempfile.mkdtemp(prefix="pipelabs-")
    try:
        postgres = Postgres(folder)
        try:
            yield postgres
        finally:
            postgres.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def own_desk(folder, **settings):
    """Run an instance on servers of its own; yield it, its PostgreSQL and its Redis."""
    with ExitStack() as stack:
        postgres = stack.enter_context(own_postgres())
        redis = stack.enter_context(own_redis(folder))
        settings = RAISED | postgres.settings | settings
        running = stack.enter_context(
            fleet("desk", folder, instances=1, redis_url=redis.url, **settings)
        )
        yield running, postgres, redis
