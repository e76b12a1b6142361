"""Run `pg_dump` and `pg_restore`. No password is on their command lines."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.dialects import postgresql

from pipelabs.backup.errors import BackupError
from pipelabs.core.settings import setting

VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
SERVICE = "pipelabs"
MAX_REASON = 300
PRIVATE_UMASK = 0o077
DIALECT: Any = postgresql.psycopg2.dialect()  # type: ignore[no-untyped-call]


def find(name: str, server_version: int) -> str:
    """Return the path of a program that can work with this major version of the server.

    `PG_DUMP` or `PG_RESTORE` names it, else it is on the PATH. Raise `BackupError`.
    """
    variable = name.upper()
    program: str | None = shutil.which(setting(variable))
    advice = f"Install the client programs of PostgreSQL {server_version} or set {variable}."
    if program is None:
        raise BackupError(f"{name} was not found. {advice}")
    asked = subprocess.run(  # noqa: S603 - the operator names the program
        [program, "--version"], capture_output=True, text=True, check=False, env=_environment()
    )
    match = VERSION.search(asked.stdout)
    version = int(match[1]) if match else 0
    if version < server_version:
        raise BackupError(f"{program} has version {version}, the server {server_version}. {advice}")
    return program


def run(argv: Sequence[str], url: str) -> None:
    """Run a program that connects to the database. Raise `BackupError` with its last words.

    It sees libpq's variables of our environment, and none of our settings. The files that it makes
    are for their owner only.
    """
    with _connection_of(url) as (name, environment):
        ended = subprocess.run(  # noqa: S603 - the arguments are ours
            [*argv, "--no-password", f"--dbname=service={name}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            umask=PRIVATE_UMASK,
            check=False,
        )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"it ended with {ended.returncode}"]
        first = next((line for line in lines if "error:" in line), lines[0])
        raise BackupError(f"{Path(argv[0]).name} failed. {first[:MAX_REASON]}")


@contextmanager
def _connection_of(url: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the name of a service that connects to the database, and the environment for it.

    Its parameters are in a file that others can't read, the password is in the environment.
    """
    _, parameters = DIALECT.create_connect_args(make_url(url))
    password = parameters.pop("password", None)
    lines = [f"{name}={value}" for name, value in parameters.items()]
    if any("\n" in line for line in lines):
        raise BackupError("The address of the database has a line break.")
    with tempfile.NamedTemporaryFile("w", prefix="pipelabs-", suffix=".service") as file:
        file.write("\n".join([f"[{SERVICE}]", *lines, ""]))
        file.flush()
        environment = _environment() | {"PGSERVICEFILE": file.name}
        yield SERVICE, environment | ({"PGPASSWORD": str(password)} if password else {})


def _environment() -> dict[str, str]:
    return dict(setting("PG_ENVIRONMENT"))
