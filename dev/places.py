"""Where the servers of this checkout keep their data, and who is using it."""

import fcntl
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dev.errors import CannotStart

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"
ROOTS_DATA = Path("/var/tmp") / f"pipelabs-{hashlib.sha256(os.fsencode(LOCAL)).hexdigest()[:16]}"  # noqa: S108 - data_folder checks its owner
STUB_ADDRESS = LOCAL / "stub_exchange.url"
"""Written by make run while its stub of the exchanges runs."""
ENV_BEGIN = "# Written by make run"
ENV_END = "# End of what make run writes"
RUNNING = "make run is already running in this checkout. Stop it first with Ctrl-C."


def local_folder() -> Path:
    """Return `.local`, created if necessary."""
    LOCAL.mkdir(mode=0o700, exist_ok=True)
    return LOCAL


def data_folder() -> Path:
    """Return the folder for the servers' data: `.local`, for root one in /var/tmp.

    PostgreSQL's user may not be allowed to enter root's checkout. Raise `CannotStart` if another
    user has created a folder of that name.
    """
    if postgres_account() is None:
        return local_folder()
    with suppress(FileExistsError):
        ROOTS_DATA.mkdir(0o700)
    facts = ROOTS_DATA.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise CannotStart(f"{ROOTS_DATA} belongs to another user. Remove it, then try again.")
    ROOTS_DATA.chmod(0o711)
    return ROOTS_DATA


def postgres_account() -> pwd.struct_passwd | None:
    """Return the user PostgreSQL runs as if we are root, which it refuses; else None."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


@contextmanager
def locked(path: Path, error: str = "", *, wait: bool = False) -> Iterator[None]:
    """Hold a lock on a file; raise `CannotStart(error)` if another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise CannotStart(error) from None
        yield
    finally:
        os.close(descriptor)


def split_env_file(text: str) -> tuple[str, str]:
    """Return the lines of `.env` that a person wrote, and the block that `make run` writes."""
    before, _, rest = text.partition(ENV_BEGIN)
    block, _, after = rest.partition(ENV_END)
    # each marker may be the beginning of a longer line
    block, after = block.partition("\n")[2], after.partition("\n")[2]
    return "\n".join(filter(None, (before.strip(), after.strip()))), block
