"""A real PostgreSQL and Redis: `python -m dev.servers [--durable] -- COMMAND…`, or `running()`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev import postgres, programs, redis
from dev.errors import CannotStart
from dev.launcher import Launcher
from dev.processes import Program, in_foreground


@dataclass(frozen=True)
class Servers:
    """The addresses of running servers; Redis may be missing."""

    database_url: str
    migration_url: str
    redis_url: str | None

    def environment(self) -> dict[str, str]:
        """Return the application's variables."""
        found = {
            "DATABASE_URL": self.database_url,
            "DATABASE_MIGRATION_URL": self.migration_url,
            "REDIS_URL": self.redis_url,
        }
        return {name: url for name, url in found.items() if url}


@contextmanager
def running(folder: Path, *, durable: bool) -> Iterator[Servers]:
    """Run both servers with their data in `folder`; raise `CannotStart` if that fails."""
    with Launcher(folder) as launcher:
        yield start(launcher, folder, durable=durable)


def start(launcher: Launcher, folder: Path, *, durable: bool) -> Servers:
    """Start both servers with their data in `folder`."""
    database_url, migration_url = postgres.start(launcher, folder, durable=durable)
    redis_url = redis.start(launcher, folder, durable=durable)
    return Servers(database_url, migration_url, redis_url)


def main(words: Sequence[str]) -> int:
    """Run a command with fresh servers that end with it; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.servers", description=main.__doc__)
    parser.add_argument("--durable", action="store_true", help="write as safely as production")
    parser.add_argument("command", nargs="+", metavar="-- COMMAND")
    asked = parser.parse_args(words)
    folder = throwaway_folder()
    with Launcher(folder, remove=True) as launcher:
        servers = start(launcher, folder, durable=asked.durable)
        if servers.redis_url is None:
            raise CannotStart(programs.NO_REDIS)
        foreground = in_foreground()
        command = Program(
            asked.command,
            env=os.environ | servers.environment() | _program_paths(),
            given=None,
            stop_group=not foreground,
            in_foreground=foreground,
        )
        status = launcher.hand_over(command)
    return status if status >= 0 else 128 - status


def _program_paths() -> dict[str, str]:
    """Return where a command finds the programs, to run servers of its own."""
    folder, _ = programs.postgres(programs.unprivileged())
    return {"POSTGRES_PROGRAMS": str(folder), "REDIS_PROGRAM": programs.redis() or ""}


def throwaway_folder() -> Path:
    """Make a temporary folder that PostgreSQL can use whoever runs it."""
    folder = Path(tempfile.mkdtemp(prefix="pipelabs-"))
    if account := programs.unprivileged():
        folder.chmod(0o711)
        if not programs.can_enter(folder, account):
            folder.rmdir()
            folder = Path(tempfile.mkdtemp(dir=programs.private_folder(folder.parent)))
            folder.chmod(0o711)
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
