"""Throwaway servers for a command: `python -m dev.servers [--durable] -- COMMAND …`."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dev import postgres, programs, redis
from dev.errors import CannotStart
from dev.leftovers import stop_leftovers
from dev.places import PUBLIC_MODE, data_folder, locked
from dev.processes import Supervisor, supervisor


@dataclass(frozen=True)
class Servers:
    """The addresses of running servers, and where their programs are."""

    database_url: str
    migration_url: str
    redis_url: str

    def environment(self) -> dict[str, str]:
        """Return the application's variables, and the programs for tests that need a server."""
        return {
            "DATABASE_URL": self.database_url,
            "DATABASE_MIGRATION_URL": self.migration_url,
            "REDIS_URL": self.redis_url,
            "POSTGRES_PROGRAMS": str(programs.postgres()[0]),
            "REDIS_PROGRAM": str(programs.redis()),
        }


def start(supervisor: Supervisor, folder: Path, *, durable: bool) -> Servers:
    """Start both servers with their data in `folder`; raise `CannotStart` if one is missing."""
    database_url, migration_url = postgres.start(supervisor, folder, durable=durable)
    redis_url = redis.start(supervisor, folder, durable=durable)
    if redis_url is None:
        raise CannotStart(programs.NO_REDIS)
    return Servers(database_url, migration_url, redis_url)


def main(words: Sequence[str]) -> int:
    """Run a command with new servers that end with it; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.servers", description=main.__doc__)
    parser.add_argument("--durable", action="store_true", help="write as safely as production")
    parser.add_argument("command", nargs="+", metavar="-- COMMAND")
    options = parser.parse_args(words)
    with supervisor() as supervised:
        folder = supervised.stack.enter_context(throwaway_folder())
        servers = start(supervised, folder, durable=options.durable)
        status = supervised.run_in_front(options.command, os.environ | servers.environment())
    return status if status >= 0 else 128 - status


@contextmanager
def throwaway_folder() -> Iterator[Path]:
    """Create a folder for data that is deleted at the end of the block.

    Folders left behind by killed processes are deleted too.
    """
    parent = data_folder() / "throwaway"
    parent.mkdir(exist_ok=True)
    parent.chmod(PUBLIC_MODE)
    for old in parent.glob("run-*"):
        with suppress(CannotStart, FileNotFoundError), locked(old / "lock"):
            stop_leftovers(old)
            shutil.rmtree(old, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="new-", dir=parent))
    new.chmod(PUBLIC_MODE)
    with locked(new / "lock"):
        # under its final name only once it is locked
        folder = new.rename(new.with_name(new.name.replace("new-", "run-")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
