"""Throwaway servers for a command: `python -m dev.servers [--durable] -- COMMAND …`."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dev import postgres, programs, redis
from dev.errors import CannotStart
from dev.leftovers import stop_leftovers
from dev.places import data_folder, locked
from dev.processes import Supervisor, supervisor


def start(supervisor: Supervisor, folder: Path, *, durable: bool) -> Mapping[str, str]:
    """Start both servers with their data in `folder`; return the application's variables.

    Raise `CannotStart` if a server is missing.
    """
    service, owner = postgres.start(supervisor, folder, durable=durable)
    redis_url = redis.start(supervisor, folder, durable=durable)
    if redis_url is None:
        raise CannotStart(programs.NO_REDIS)
    return {"DATABASE_URL": service, "DATABASE_MIGRATION_URL": owner, "REDIS_URL": redis_url}


def main(words: Sequence[str]) -> int:
    """Run a command with new servers that end with it; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.servers", description=main.__doc__)
    parser.add_argument("--durable", action="store_true", help="write as safely as production")
    parser.add_argument("command", nargs="+", metavar="-- COMMAND")
    options = parser.parse_args(words)
    with supervisor() as supervised:
        folder = supervised.stack.enter_context(throwaway_folder())
        environment = dict(start(supervised, folder, durable=options.durable))
        # for tests that start servers of their own
        environment["POSTGRES_PROGRAMS"] = str(programs.postgres())
        environment["REDIS_PROGRAM"] = str(programs.redis())
        status = supervised.run_in_front(options.command, environment)
    return status if status >= 0 else 128 - status


@contextmanager
def throwaway_folder() -> Iterator[Path]:
    """Create a folder for data that is deleted at the end of the block.

    Folders left behind by killed processes are deleted too.
    """
    parent = data_folder() / "throwaway"
    parent.mkdir(exist_ok=True)
    for old in parent.glob("run-*"):
        with suppress(CannotStart, FileNotFoundError), locked(old / "lock"):
            stop_leftovers(old)
            shutil.rmtree(old, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="new-", dir=parent))
    for folder in (parent, new):
        folder.chmod(0o711)
    with locked(new / "lock"):
        # under its final name only once it is locked
        folder = new.rename(new.with_name(new.name.replace("new-", "run-")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
