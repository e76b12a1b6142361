"""Servers and workers that a test can kill and restart."""

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

from tests.instances import RAISED_LIMITS, fleet
from tests.servers import free_port, own_redis, postgres_program
from tests.waiting import wait_for


class Postgres:
    """A PostgreSQL with production's durability. It keeps data and port over restarts.

    With a `primary` it is a standby, which follows the primary until it is promoted.
    """

    def __init__(self, folder, primary=None):
        self._folder, self.port = folder, free_port()
        # PostgreSQL refuses to run as root.
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
        if primary:
            arguments = [f"--pgdata={folder}", "--write-recovery-conf", "--checkpoint=fast"]
            arguments += ["--host=127.0.0.1", f"--port={primary.port}", "--username=owner"]
            self._run("pg_basebackup", arguments)
            self.start()
        else:
            arguments = [f"--pgdata={folder}", "--username=owner", "--auth=trust", "--no-sync"]
            self._run("initdb", [*arguments, "--encoding=UTF8", "--locale=C"])
            self.start()
            self.execute("CREATE ROLE pipelabs LOGIN", "CREATE DATABASE pipelabs")
        self.settings = {
            "DATABASE_URL": self._url("pipelabs"),
            "DATABASE_MIGRATION_URL": self._url("owner"),
        }

    def start(self):
        """Start it. Retry while processes of a killed one still hold its shared memory."""
        wait_for(self._is_running)

    def kill(self):
        """Kill the postmaster. Its children notice and exit without writing anything."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        """Stop it without waiting for its clients."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def execute(self, *statements):
        """Run statements as the owner, and return the last one's value if it has one."""
        with closing(psycopg2.connect(self._url("owner", "postgres"))) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def turn_read_only(self):
        """Reject writes from now on, also of connections that exist."""
        self.execute(
            "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
        )

    def promote(self):
        """Make a standby the primary."""
        self.execute("SELECT pg_promote()")

    def _run(self, program, arguments):
        subprocess.run([postgres_program(program), *arguments], check=True, **self._options)

    def _is_running(self):
        """Return whether it accepts connections. Start it if it is not running."""
        process = getattr(self, "_process", None)
        if process is None or process.poll() is not None:
            arguments = ["-D", self._folder, "-p", str(self.port)]
            arguments += ["-c", "unix_socket_directories="]
            self._process = subprocess.Popen(
                [postgres_program("postgres"), *arguments], **self._options
            )
        try:
            psycopg2.connect(self._url("owner", "postgres"), connect_timeout=60).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _url(self, role, database="pipelabs"):
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"


class Worker:
    """A worker of an instance. gunicorn replaces it automatically."""

    def __init__(self, gunicorn):
        self._gunicorn = gunicorn

    def start(self):
        """Do nothing, since gunicorn starts a new worker."""

    def kill(self):
        """Kill the oldest worker."""
        os.kill(children(self._gunicorn.pid)[0], signal.SIGKILL)


def children(pid):
    """Return the ids of the child processes."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    if file.exists():
        return [int(child) for child in file.read_text().split()]
    process = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in process.stdout.split()]


@contextmanager
def own_postgres(primary=None):
    """Run a PostgreSQL that a test can kill. Its data is deleted when the block ends."""
    # Not in pytest's folder, which other accounts can't read.
    folder = tempfile.mkdtemp(prefix="pipelabs-")
    try:
        postgres = Postgres(folder, primary)
        try:
            yield postgres
        finally:
            postgres.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def own_desk(folder, **settings):
    """Run an instance with its own servers; yield it, its PostgreSQL and its Redis."""
    with ExitStack() as stack:
        postgres = stack.enter_context(own_postgres())
        redis = stack.enter_context(own_redis(folder))
        settings = RAISED_LIMITS | postgres.settings | settings
        running = stack.enter_context(
            fleet("desk", folder, instances=1, redis_url=redis.url, **settings)
        )
        yield running, postgres, redis
