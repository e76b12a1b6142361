"""What a bench runs on: the servers, the bare view, and one application per round."""

import base64
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import mirakuru
import psycopg2
import redis

from bench import statements, usage
from bench.load import PATH, WrongAnswer
from dev import gunicorn, servers
from dev.errors import CannotStart
from dev.processes import Supervisor, free_port, run, supervisor

OWNER = "owner@desk.local"
LIMIT = "5000/second"
"""More than gunicorn can answer. With a longer window Redis would count a longer list."""
COUNTS = """
SELECT count(clients.id), count(*) FROM audit_events
LEFT JOIN clients ON clients.id = audit_events.client_id
WHERE event = 'client.created' AND instance = 'bench'
"""
NO_WRK = "wrk was not found. Install it with `apt install wrk` or `brew install wrk`."
NO_PGBENCH = (
    "pgbench was not found, so the database's limit is not measured. It comes with PostgreSQL."
)


@dataclass(frozen=True)
class Serving:
    """A gunicorn: its port, its master process, and the seconds until its first answers."""

    port: int
    pid: int
    health_s: float
    create_s: float


@dataclass(frozen=True)
class Stage:
    """Running servers, and what is needed to put load on them."""

    supervisor: Supervisor
    folder: Path
    environment: Mapping[str, str]
    token: str
    password: str = field(repr=False)
    wrk: str
    pgbench: str | None
    versions: Mapping[str, str]
    stores: Mapping[str, int]

    @property
    def script(self) -> Path:
        """The file that pgbench runs."""
        return self.folder / "create.sql"

    def reject_gaps(self) -> None:
        """Raise `WrongAnswer` unless each client has its audit row and its audit line."""
        with closing(psycopg2.connect(self.environment["DATABASE_MIGRATION_URL"])) as connection:
            cursor = connection.cursor()
            cursor.execute(COUNTS)
            clients, rows = cursor.fetchone() or (0, 0)
        with Path(self.environment["AUDIT_LOG_FILE"]).open() as file:
            lines = sum(" | SUCCESS | " in line for line in file)
        if not clients == rows == lines:
            raise WrongAnswer(f"{clients} clients, {rows} audit rows and {lines} audit lines.")

    @contextmanager
    def application(self) -> Iterator[Serving]:
        """Serve the application, as production does, until the block ends."""
        with self._serving("wsgi:app") as running:
            yield running

    @contextmanager
    def bare(self) -> Iterator[Serving]:
        """Serve the bare view, with the same settings, until the block ends."""
        file = self.folder / "bare.conf.py"
        file.write_text(run_python(self.environment, ["-m", "bench.bare"]))
        with self._serving("-c", str(file), "bench.bare:app") as running:
            yield running

    @contextmanager
    def _serving(self, *words: str) -> Iterator[Serving]:
        port = free_port()
        with (self.folder / f"{port}.log").open("w") as log:
            begun = time.monotonic()
            server = gunicorn.server(self.environment, port, words, log.fileno())
            try:
                self.supervisor.start(server)
            except mirakuru.ExecutorError:
                end = Path(log.name).read_text(errors="replace")[-2000:]
                raise CannotStart(f"gunicorn did not start. The end of its log:\n{end}") from None
        try:
            health_s = time.monotonic() - begun
            body = {"name": "Client Name", "wallet_address": f"0x{secrets.token_hex(20)}"}
            status, text = gunicorn.call(port, "POST", PATH, body, self.token)
            if status != 201:
                raise WrongAnswer(f"The first create was answered {status}: {text!r}")
            pid = server.process.pid if server.process else 0
            yield Serving(port, pid, health_s, time.monotonic() - begun)
        finally:
            server.stop()


@contextmanager
def set_up() -> Iterator[Stage]:
    """Start the servers, and end them with the block; raise `CannotStart`."""
    if not (wrk := shutil.which("wrk")):
        raise CannotStart(NO_WRK)
    with supervisor() as supervised:
        folder = supervised.stack.enter_context(servers.throwaway_folder())
        started = servers.start(supervised, folder, durable=True)
        environment = _environment(folder) | dict(started)
        password = secrets.token_urlsafe(18)
        token, script = _prepare(environment, password)
        versions, stores = _stores(started)
        stage = Stage(
            supervised,
            folder,
            environment,
            token,
            password,
            wrk,
            statements.program(),
            versions,
            stores,
        )
        stage.script.write_text(script)
        yield stage


def run_python(environment: Mapping[str, str], words: list[str], text: str = "") -> str:
    """Return the output of a Python command whose input is `text`; raise `CannotStart`."""
    try:
        return run([sys.executable, *words], environment, text)
    except CannotStart as error:
        raise CannotStart(f"{' '.join(words)} failed:\n{error}") from None


def _environment(folder: Path) -> dict[str, str]:
    """Return production's variables, without those of this shell."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(48),
        "VAULT_KEYS": f"1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "CORS_ORIGINS": "https://console.example.com",
        "WEB_CONCURRENCY": "2",
        "DRAIN_S": "0",
        "INSTANCE": "bench",
        "AUDIT_LOG_FILE": str(folder / "client_creation.log"),
        "RATELIMIT_CREATE": LIMIT,
        "RATELIMIT_GENERAL": LIMIT,
        "RATELIMIT_CONSOLE": LIMIT,
    }


def _prepare(environment: Mapping[str, str], password: str) -> tuple[str, str]:
    """Migrate, create an owner, and return a token and pgbench's script."""
    run_python(environment, ["-m", "dev.prepare", OWNER], password)
    # an instance of its own: else the application would write lines for pgbench's audit rows
    log = environment["AUDIT_LOG_FILE"] + ".pgbench"
    apart = {**environment, "INSTANCE": "pgbench", "AUDIT_LOG_FILE": log}
    return statements.read(run_python(apart, ["-m", "bench.record", OWNER], password))


def _stores(started: Mapping[str, str]) -> tuple[dict[str, str], dict[str, int]]:
    """Return the versions of PostgreSQL and Redis, and their processes."""
    with closing(psycopg2.connect(started["DATABASE_MIGRATION_URL"])) as connection:
        backend = connection.info.backend_pid
        version = connection.info.parameter_status("server_version") or ""
        postgres = usage.parent(backend)
    with redis.Redis.from_url(started["REDIS_URL"]) as client:
        facts = client.info("server")
    versions = {"postgresql": version, "redis": str(facts["redis_version"])}
    return versions, {"postgresql": postgres, "redis": int(facts["process_id"])}
