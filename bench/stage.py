"""What a bench runs on: the servers, the bare view, and one application per round."""

import base64
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import mirakuru
import psycopg2
import redis

from bench import statements, usage
from bench.callers import CREATE_LIMIT, GENERAL_LIMIT, Callers
from bench.load import PATH, WrongAnswer
from bench.peers import servers as peers
from bench.peers.servers import Peer
from dev import gunicorn, servers
from dev.errors import CannotStart
from dev.processes import Server, Supervisor, free_port, run, supervisor

OWNER = "owner@desk.local"
CONSOLE_LIMIT = "5000/second"
"""More than gunicorn can answer, because one owner opens all pages."""
COUNTS = """
SELECT count(clients.id), count(*) FROM audit_events
LEFT JOIN clients ON clients.id = audit_events.client_id
WHERE event = 'client.created' AND instance = 'bench'
"""
NO_WRK = "wrk was not found. Install it with `apt install wrk` or `brew install wrk`."
NO_PGBENCH = (
    "pgbench was not found, so the database's limit is not measured. It comes with PostgreSQL."
)

Command = Callable[[int], list[str]]
"""Port → the command that serves on it."""


@dataclass(frozen=True)
class Serving:
    """A server: its name and port, its master process, and the seconds until its first answers.

    `token` made the first create.
    """

    name: str
    port: int
    pid: int
    health_s: float
    create_s: float
    token: str = field(repr=False)


@dataclass(frozen=True)
class Stage:
    """Running servers, and what is needed to put load on them."""

    supervisor: Supervisor
    folder: Path
    environment: Mapping[str, str]
    callers: Callers
    password: str = field(repr=False)
    wrk: str
    pgbench: str | None
    versions: Mapping[str, str]
    stores: Mapping[str, int]
    peers: Sequence[Peer]

    @property
    def token(self) -> str:
        """A new token of the owner's session."""
        return self.callers.owner()

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

    def reset_budgets(self) -> None:
        """Forget what was spent of every budget."""
        with redis.Redis.from_url(self.environment["REDIS_URL"]) as client:
            client.flushdb()

    @contextmanager
    def application(self, **variables: str) -> Iterator[Serving]:
        """Serve the application, as production does but for `variables`, until the block ends."""
        with self._serving("the application", self._gunicorn("wsgi:app"), variables) as running:
            yield running

    @contextmanager
    def bare(self) -> Iterator[Serving]:
        """Serve the bare view, with the same settings, until the block ends."""
        file = self.folder / "bare.conf.py"
        file.write_text(run_python(self.environment, ["-m", "bench.bare"]))
        with self._serving(
            "the bare view", self._gunicorn("-c", str(file), "bench.bare:app")
        ) as running:
            yield running

    @contextmanager
    def peer(self, peer: Peer) -> Iterator[Serving]:
        """Serve a peer until the block ends."""
        with self._serving(peer.name, peer.command) as running:
            yield running

    def _gunicorn(self, *words: str) -> Command:
        return lambda port: gunicorn.command(port, words)

    @contextmanager
    def _serving(
        self, name: str, command: Command, variables: Mapping[str, str] | None = None
    ) -> Iterator[Serving]:
        port, token = free_port(), self.token
        with (self.folder / f"{port}.log").open("w") as log:
            begun = time.monotonic()
            environment = {**self.environment, **(variables or {})}
            server = gunicorn.server(environment, port, command(port), log.fileno())
            self._start(name, server, Path(log.name))
        try:
            health_s = time.monotonic() - begun
            body = {"name": "Client Name", "wallet_address": f"0x{secrets.token_hex(20)}"}
            status, text = gunicorn.call(port, "POST", PATH, body, token)
            if status != 201:
                raise WrongAnswer(f"The first create on {name} was answered {status}: {text!r}")
            pid = server.process.pid if server.process else 0
            yield Serving(name, port, pid, health_s, time.monotonic() - begun, token)
        finally:
            server.stop()

    def _start(self, name: str, server: Server, log: Path) -> None:
        try:
            self.supervisor.start(server)
        except mirakuru.ExecutorError:
            end = log.read_text(errors="replace")[-2000:]
            raise CannotStart(f"{name} did not start. The end of its log:\n{end}") from None


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
        secret = environment["SECRET_KEY"]
        callers = Callers.add(environment["DATABASE_MIGRATION_URL"], OWNER, token, secret)
        versions, stores = _stores(started)
        measured = peers.installed()
        if measured:
            versions |= peers.versions()
        stage = Stage(
            supervised,
            folder,
            environment,
            callers,
            password,
            wrk,
            statements.program(),
            versions,
            stores,
            measured,
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
        "RATELIMIT_CREATE": CREATE_LIMIT,
        "RATELIMIT_BATCH": CREATE_LIMIT,
        "RATELIMIT_GENERAL": GENERAL_LIMIT,
        "RATELIMIT_CONSOLE": CONSOLE_LIMIT,
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
