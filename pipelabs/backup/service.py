"""Back up the database: a dump and its manifest, of one snapshot."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, text

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.backup import facts, manifest, programs
from pipelabs.backup.errors import BackupError
from pipelabs.backup.manifest import Manifest
from pipelabs.core.actor import Actor
from pipelabs.core.settings import setting
from pipelabs.core.version import version
from pipelabs.models import now

SUFFIX = ".dump"
PARTIAL = ".partial"
ISOLATION = "REPEATABLE READ"
EXPORT = text("SELECT pg_export_snapshot()")
DUMP = ("--format=custom", "--no-owner")


@dataclass(frozen=True, slots=True)
class Backup:
    """A dump, which has its final name at the end of `new_backup`, and its manifest."""

    dump: Path
    manifest: Manifest


@contextmanager
def new_backup(place: Path) -> Iterator[Backup]:
    """Write a dump to a file, or to a new file in a folder, and its manifest beside it.

    Both are of one snapshot, while the service keeps running. They have their final names if the
    block succeeds, the manifest first, and are gone if it raises. Raise `BackupError` if a file
    exists or there is no suitable `pg_dump`, and `OSError` if the disk is full.
    """
    created_at = now()
    dump = place / f"pipelabs-{created_at:%Y%m%dT%H%M%SZ}{SUFFIX}" if place.is_dir() else place
    for path in (dump, manifest.path_of(dump)):
        if path.exists():
            raise BackupError(f"{path} exists. Name another file.")
    partial = dump.with_name(f"{dump.name}{PARTIAL}")
    partial_manifest = manifest.path_of(partial)
    try:
        written = _write_both(partial, created_at)
        yield Backup(dump, written)
        partial_manifest.rename(manifest.path_of(dump))
        partial.rename(dump)
    finally:
        partial.unlink(missing_ok=True)
        partial_manifest.unlink(missing_ok=True)


def record(backup: Backup, actor: Actor) -> None:
    """Record in the current transaction that the database was backed up."""
    facts_of_it = {"sha256": backup.manifest.sha256, "bytes": str(backup.manifest.bytes)}
    trail.record(Event.DATABASE_BACKED_UP, actor, facts=facts_of_it)


def _write_both(dump: Path, created_at: datetime) -> Manifest:
    url = setting("DATABASE_MIGRATION_URL")
    with open_snapshot(url) as connection:
        program = programs.find("pg_dump", server_version(connection))
        snapshot = connection.scalar(EXPORT)
        found = facts.collect(connection)
        programs.run([program, *DUMP, f"--snapshot={snapshot}", f"--file={dump}"], url)
    _sync(dump)
    written = manifest.sign(
        {
            "created_at": f"{created_at:%Y-%m-%dT%H:%M:%S}Z",
            "release": version(),
            **found,
            "bytes": dump.stat().st_size,
            "sha256": hash_file(dump),
        }
    )
    _write(manifest.path_of(dump), written.as_json())
    return written


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
