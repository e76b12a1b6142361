"""A PostgreSQL of our own on the loopback address, with an owner and a service role."""

import locale
import os
import pwd
import secrets
import shutil
import signal
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2

from dev import programs
from dev.errors import CannotStart
from dev.leftovers import stop_leftovers
from dev.places import postgres_account
from dev.processes import HOST, Server, Supervisor, as_user, run

OWNER, SERVICE, DATABASE = "pipelabs_owner", "pipelabs", "pipelabs"
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""The server needs none of our secrets, and no locale that may be missing."""
SETTINGS = (
    f"listen_addresses={HOST}",
    "unix_socket_directories=",
    "max_connections=400",
    "timezone=UTC",
)
THROWAWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")

INITDB_OPTIONS = (
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    # PostgreSQL's own Unicode rules; the system's may be missing
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-sync",
)
LETTERS = ("C.UTF-8", "en_US.UTF-8", "UTF-8")
"""Locales that know the letters of every script, the first of Linux, the last of macOS."""


@dataclass(frozen=True)
class Cluster:
    """Where a server's data and passwords are, and which user its programs run as."""

    home: Path
    account: pwd.struct_passwd | None
    programs: Path

    @property
    def data(self) -> Path:
        """The data folder, the only folder here that belongs to `account`."""
        return self.home / "data"

    def url(self, role: str, port: int, database: str = DATABASE) -> str:
        """Return the address for a role, its password included."""
        return f"postgresql://{role}:{self.password(role).read_text()}@{HOST}:{port}/{database}"

    def password(self, role: str) -> Path:
        """Return the file that holds a role's password."""
        return self.home / f"{role}.password"


def start(supervisor: Supervisor, folder: Path, *, durable: bool) -> tuple[str, str]:
    """Start PostgreSQL with its data in `folder`; return the service's URL and the owner's.

    Not durable means fast: a crash of the machine loses what was written.
    """
    cluster = Cluster(folder.resolve() / "postgres", postgres_account(), programs.postgres())
    stop_leftovers(folder)
    if not cluster.home.exists():
        _create(cluster)
    settings = SETTINGS if durable else SETTINGS + THROWAWAY

    def create(port: int, log: int) -> Server:
        argv = [str(cluster.programs / "postgres"), "-D", str(cluster.data), "-p", str(port)]
        return Server(
            [*argv, *(word for setting in settings for word in ("-c", setting))],
            port,
            lambda: _is_ready(cluster, port),
            ENVIRONMENT,
            cwd="/",
            stdout=log,
            stop_signal=signal.SIGINT,  # fast shutdown, which does not wait for its clients
            popen_kwargs=as_user(cluster.account),
        )

    port = supervisor.start_on_free_port("postgres", folder, create)
    _create_service_role(cluster, port)
    return cluster.url(SERVICE, port), cluster.url(OWNER, port)


def _create(cluster: Cluster) -> None:
    """Create the data under another name first, so that an unfinished folder is never used."""
    new = replace(cluster, home=cluster.home.with_name("postgres.new"))
    shutil.rmtree(new.home, ignore_errors=True)
    for folder, mode in ((new.home, 0o711 if cluster.account else 0o700), (new.data, 0o700)):
        folder.mkdir()
        folder.chmod(mode)
    for role in (OWNER, SERVICE):
        new.password(role).touch(0o600)
        new.password(role).write_text(secrets.token_urlsafe(24))
    if cluster.account:
        for path in (new.data, new.password(OWNER)):
            os.chown(path, cluster.account.pw_uid, cluster.account.pw_gid)
    argv = [
        str(new.programs / "initdb"),
        f"--pgdata={new.data}",
        f"--username={OWNER}",
        f"--pwfile={new.password(OWNER)}",
        *INITDB_OPTIONS,
        *_letters(),
    ]
    try:
        run(argv, ENVIRONMENT, cwd=Path("/"), account=new.account)
    except CannotStart as error:
        raise CannotStart(f"initdb failed:\n{error}") from None
    new.home.rename(cluster.home)


def _letters() -> list[str]:
    """Return the option by which `pg_trgm` finds letters beyond ASCII, if there is a locale.

    It asks the C library and not PostgreSQL's own rules. Without one, a search for other words is
    slow, but finds the same.
    """
    before = locale.setlocale(locale.LC_CTYPE)
    for name in LETTERS:
        with suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)
            locale.setlocale(locale.LC_CTYPE, before)
            return [f"--lc-ctype={name}"]
    return []


def _is_ready(cluster: Cluster, port: int) -> bool:
    try:
        psycopg2.connect(cluster.url(OWNER, port, "postgres"), connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def _create_service_role(cluster: Cluster, port: int) -> None:
    """Create the service's role and the database unless they exist."""
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
        # by default everyone has USAGE of a schema, and its owner CREATE
        cursor.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
        cursor.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {SERVICE}")
