"""Where the servers of this checkout keep their data, and who is using it."""

import fcntl
import hashlib
import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dev.errors import CannotStart

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"
PUBLIC_MODE = 0o711 if os.geteuid() == 0 else 0o700
"""As root, PostgreSQL's own user has to pass through the folders above its data."""
ENV_BEGIN = "# Written by make run"
ENV_END = "# End of what make run writes"
RUNNING = "make run is already running in this checkout. Stop it first with Ctrl-C."


def local_folder() -> Path:
    """Return `.local`, created if necessary."""
    LOCAL.mkdir(exist_ok=True)
    LOCAL.chmod(PUBLIC_MODE)
    return LOCAL


def data_folder() -> Path:
    """Return the folder for the servers' data: `.local`, or one in /var/tmp.

    The latter is for root in a folder that PostgreSQL's user cannot enter. Raise `CannotStart` if
    another user has created a folder of that name.
    """
    account, local = postgres_account(), local_folder()
    if account is None or can_enter(local, account):
        return local
    folder = substitute_folder()
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise CannotStart(f"{folder} belongs to another user. Remove it, then try again.")
    folder.chmod(PUBLIC_MODE)
    return folder


def substitute_folder() -> Path:
    """Return the path of the folder in /var/tmp, whether or not it exists."""
    name = hashlib.sha256(os.fsencode(LOCAL)).hexdigest()[:16]
    return Path("/var/tmp") / f"pipelabs-{name}"  # noqa: S108 - data_folder checks its owner


def postgres_account() -> pwd.struct_passwd | None:
    """Return the user PostgreSQL runs as if we are root, which it refuses; else None."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def can_enter(folder: Path, account: pwd.struct_passwd) -> bool:
    """Return whether an account can reach the files in a folder."""
    test = subprocess.run(
        ["/bin/sh", "-c", 'test -x "$1"', "sh", str(folder)],
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        check=False,
    )
    return test.returncode == 0


@contextmanager
def locked(path: Path, error: str = "", *, wait: bool = False) -> Iterator[None]:
    """Hold a lock on a file; raise `CannotStart(error)` if another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _lock(descriptor, error, wait=wait)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, error: str, *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise CannotStart(error) from None


def split_env_file(text: str) -> tuple[str, str]:
    """Return the lines of `.env` that a person wrote, and the block that `make run` writes."""
    before, _, rest = text.partition(ENV_BEGIN)
    block, _, after = rest.partition(ENV_END)
    # each marker may be the beginning of a longer line
    block, after = block.partition("\n")[2], after.partition("\n")[2]
    return "\n".join(filter(None, (before.strip(), after.strip()))), block
