"""Back up the database: a dump and its manifest, of one snapshot."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, text

from pipelabs.backup import facts, manifest, programs
from pipelabs.backup.errors import BackupError
from pipelabs.backup.manifest import Manifest
from pipelabs.core.settings import setting
from pipelabs.core.version import version
from pipelabs.models import now

SUFFIX = ".dump"
PARTIAL = ".partial"
ISOLATION = "REPEATABLE READ"
EXPORT = text("SELECT pg_export_snapshot()")
DUMP = ("--format=custom", "--no-owner")


def create_backup(place: Path) -> tuple[Path, Manifest]:
    """Write a dump to a file, or to a new file in a folder, and its manifest beside it.

    Return the path of the dump. The dump and the manifest's counts are of one snapshot, while the
    service keeps running. A dump has its final name only once its manifest is there. Raise
    `BackupError` if the file exists, and `BackupError` without a suitable `pg_dump`.
    """
    created_at = now()
    dump = place / f"pipelabs-{created_at:%Y%m%dT%H%M%SZ}{SUFFIX}" if place.is_dir() else place
    manifest_path = manifest.path_of(dump)
    for path in (dump, manifest_path):
        if path.exists():
            raise BackupError(f"{path} exists. Name another file.")
    url, partial = setting("DATABASE_MIGRATION_URL"), dump.with_name(f"{dump.name}{PARTIAL}")
    try:
        with open_snapshot(url) as connection:
            program = programs.find("pg_dump", server_version(connection))
            snapshot = connection.scalar(EXPORT)
            found = facts.collect(connection)
            argv = [program, *DUMP, f"--snapshot={snapshot}", f"--file={partial}"]
            programs.run(argv, url)
        written = manifest.sign(
            {
                "created_at": f"{created_at:%Y-%m-%dT%H:%M:%S}Z",
                "release": version(),
                **found,
                "bytes": partial.stat().st_size,
                "sha256": hash_file(partial),
            }
        )
        _write(manifest_path, written.as_json())
        _sync(partial)
        partial.rename(dump)
    finally:
        partial.unlink(missing_ok=True)
    return dump, written


@contextmanager
def open_snapshot(url: str) -> Iterator[Connection]:
    """Yield a connection that sees the database as it is now, and writes nothing."""
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    with engine.connect() as connection:
        connection.execution_options(isolation_level=ISOLATION, postgresql_readonly=True)
        yield connection


def server_version(connection: Connection) -> int:
    """Return the major version of the server."""
    return int(connection.scalar(text("SHOW server_version_num"))) // 10_000


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, which is read in parts."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: str) -> None:
    """Write a new file that only its owner can read."""
    with open(path, "x", encoding="utf-8", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
