"""A PostgreSQL of our own on the loopback address, with an owner and a service role."""

import os
import pwd
import secrets
import shutil
import signal
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2

from dev import leftovers, programs
from dev.errors import CannotStart
from dev.launcher import Launcher
from dev.listening import HOST, serve
from dev.processes import Program

OWNER, SERVICE, DATABASE = "pipelabs_owner", "pipelabs", "pipelabs"
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""All that the server sees of ours: it needs no secrets, and no locale that may be missing."""
SETTINGS = (
    f"listen_addresses={HOST}",
    "unix_socket_directories=",
    "max_connections=200",
    "timezone=UTC",
)
THROWAWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Cluster:
    """Where a server's data and passwords are, and whom its programs run as."""

    home: Path
    account: pwd.struct_passwd | None
    programs: Path
    version: int

    @property
    def data(self) -> Path:
        """The data folder, the only one here that belongs to `account`."""
        return self.home / "data"

    def url(self, role: str, port: int, database: str = DATABASE) -> str:
        """Return the address for a role, its password included."""
        return f"postgresql://{role}:{self.password(role).read_text()}@{HOST}:{port}/{database}"

    def password(self, role: str) -> Path:
        """Return the file that holds a role's password."""
        return self.home / f"{role}.password"


def start(launcher: Launcher, folder: Path, *, durable: bool) -> tuple[str, str]:
    """Start PostgreSQL with its data below `folder`; return the service's URL and the owner's.

    Where root's unprivileged user cannot enter `folder`, the data is in a private folder instead.
    Not durable means fast: a crash of the machine loses what was written.
    """
    folder, account = folder.resolve(), programs.unprivileged()
    if account and not programs.can_enter(folder, account):
        folder = programs.private_folder(folder)
    cluster = Cluster(folder / "postgres", account, *programs.postgres(account))
    leftovers.end(cluster.data)
    if not cluster.home.exists():
        _make(launcher, cluster, durable=durable)
    port = serve(
        launcher,
        "postgres",
        folder,
        lambda port, log: _program(cluster, port, log, durable=durable),
        lambda port: _answers(cluster, port),
    )
    _prepare(cluster, port)
    return cluster.url(SERVICE, port), cluster.url(OWNER, port)


def _make(launcher: Launcher, cluster: Cluster, *, durable: bool) -> None:
    """Make the data under another name first, so that a half-made folder is never used."""
    fresh = replace(cluster, home=cluster.home.with_name("postgres.new"))
    shutil.rmtree(fresh.home, ignore_errors=True)
    for folder, mode in ((fresh.home, 0o711 if cluster.account else 0o700), (fresh.data, 0o700)):
        folder.mkdir()
        folder.chmod(mode)
    for role in (OWNER, SERVICE):
        fresh.password(role).touch(0o600)
        fresh.password(role).write_text(secrets.token_urlsafe(24))
    if cluster.account:
        for path in (fresh.data, fresh.password(OWNER)):
            os.chown(path, cluster.account.pw_uid, cluster.account.pw_gid)
    with (cluster.home.parent / "postgres.log").open("wb") as log:
        status = launcher.wait(launcher.start(_initdb(fresh, log.fileno(), durable=durable)))
    if status:
        raise CannotStart(f"initdb failed:\n{Path(log.name).read_text(errors='replace')}")
    fresh.home.rename(cluster.home)


def _initdb(cluster: Cluster, log: int, *, durable: bool) -> Program:
    # PostgreSQL has Unicode rules of its own since 17; before, the system's may be missing
    rules = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    argv = [
        str(cluster.programs / "initdb"),
        f"--pgdata={cluster.data}",
        f"--username={OWNER}",
        f"--pwfile={cluster.password(OWNER)}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        *(rules if cluster.version >= 17 else []),
        *([] if durable else ["--no-sync"]),
    ]
    return Program(argv, env=ENVIRONMENT, cwd=Path("/"), output=log, account=cluster.account)


def _program(cluster: Cluster, port: int, log: int, *, durable: bool) -> Program:
    argv = [str(cluster.programs / "postgres"), "-D", str(cluster.data), "-p", str(port)]
    for setting in SETTINGS if durable else SETTINGS + THROWAWAY:
        argv += ["-c", setting]
    return Program(
        argv,
        env=ENVIRONMENT,
        cwd=Path("/"),
        output=log,
        account=cluster.account,
        stop_with=signal.SIGINT,  # its fast shutdown, which does not wait for its clients
    )


def _answers(cluster: Cluster, port: int) -> bool:
    try:
        psycopg2.connect(cluster.url(OWNER, port, "postgres"), connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def _prepare(cluster: Cluster, port: int) -> None:
    """Make the service's role and the database unless they are there."""
    password = cluster.password(SERVICE).read_text()
    with closing(psycopg2.connect(cluster.url(OWNER, port, "postgres"))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (SERVICE,))
        if not cursor.fetchone():
            limits = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"
            cursor.execute(f"CREATE ROLE {SERVICE} {limits} PASSWORD %s", (password,))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if not cursor.fetchone():
            cursor.execute(f"CREATE DATABASE {DATABASE}")
        # a schema's USAGE is everybody's by default, and CREATE its owner's
        cursor.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
        cursor.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {SERVICE}")
