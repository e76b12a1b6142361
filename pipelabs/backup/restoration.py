"""Restore a backup into an empty database, and verify what is there then."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from pipelabs.audit import verification
from pipelabs.audit.verification import Range
from pipelabs.backup import facts, manifest, programs
from pipelabs.backup.errors import BackupError
from pipelabs.backup.manifest import Manifest
from pipelabs.backup.service import hash_file, open_snapshot, server_version
from pipelabs.core.db import MIGRATIONS, release, use_database
from pipelabs.models import Proof
from pipelabs.vault import rotation
from pipelabs.vault.ring import ring_versions

RESTORE = (
    "--no-owner",
    "--no-privileges",
    "--no-comments",
    "--exit-on-error",
    "--single-transaction",
)
"""All or nothing. The role that restores owns what is restored, and `db upgrade` grants again."""
MAX_NAMED = 5


class Verdict(NamedTuple):
    """The result of one comparison, in a sentence."""

    subject: str
    is_right: bool
    message: str


def verify_file(dump: Path, written: Manifest) -> Iterator[Verdict]:
    """Compare the file with its manifest, and the manifest with our own signature."""
    proof = manifest.check(written)
    sentences = {
        Proof.VALID: f"The manifest is genuine: {written.created_at}, release {written.release}.",
        Proof.ALTERED: "The manifest was changed since the backup.",
        Proof.UNKNOWN: f"The manifest was signed with the key {written.mac_key}, which is not here."
        " Set the VAULT_KEYS and the SECRET_KEY of that time.",
    }
    yield Verdict("manifest", proof is Proof.VALID, sentences[proof])
    is_same = dump.stat().st_size == written.bytes and hash_file(dump) == written.sha256
    differs = "The dump is not the file that was backed up: its SHA-256 or its size differs."
    yield Verdict("file", is_same, "The SHA-256 of the dump is right." if is_same else differs)
    missing = [one for one in written.key_ring_versions if one not in ring_versions()]
    lacks = f"VAULT_KEYS lacks version {', '.join(map(str, missing))}, which the backup needs."
    has = "VAULT_KEYS has every version that the backup needs."
    yield Verdict("key ring", not missing, lacks if missing else has)


def restore(dump: Path, url: str) -> None:
    """Restore the dump into an empty database. Raise `BackupError` if there is something in it."""
    with open_snapshot(url) as connection:
        if not facts.is_empty(connection):
            raise BackupError("The database is not empty. Create a new one for the restore.")
        program = programs.find("pg_restore", server_version(connection))
    programs.run([program, *RESTORE, str(dump)], url)


def verify_database(url: str, written: Manifest) -> Iterator[Verdict]:
    """Compare a restored database with the manifest, decrypt every secret and check every MAC."""
    with open_snapshot(url) as connection:
        revision = _verify_revision(connection, written)
        yield revision
        yield _verify_counts(connection, written)
        yield _verify_newest(connection, written)
    if not revision.is_right:
        return
    with use_database(url):
        yield _verify_keys()
        yield _verify_audit_rows()


def _verify_revision(connection: Connection, written: Manifest) -> Verdict:
    [head] = ScriptDirectory(MIGRATIONS).get_heads()
    found = facts.find_revision(connection)
    if found != written.revision:
        message = f"The database has migration {found}, the manifest {written.revision}."
    elif found != head:
        message = (
            f"The backup is of release {written.release} with migration {found}, this release has"
            f" {head}. Verify it with that release, then upgrade."
        )
    else:
        return Verdict("migration", is_right=True, message=f"The migration is {found}.")
    return Verdict("migration", is_right=False, message=message)


def _verify_counts(connection: Connection, written: Manifest) -> Verdict:
    found = facts.count_rows(connection)
    names = sorted(found.keys() | written.rows.keys())
    different = [name for name in names if found.get(name) != written.rows.get(name)]
    if not different:
        total = sum(found.values())
        return Verdict(
            "rows", is_right=True, message=f"{total:,} rows in {len(found)} tables, as backed up."
        )
    shown = "; ".join(
        f"{name} {found.get(name, 'missing')}, not {written.rows.get(name, 'there')}"
        for name in different[:MAX_NAMED]
    )
    return Verdict("rows", is_right=False, message=f"The number of rows differs: {shown}.")


def _verify_newest(connection: Connection, written: Manifest) -> Verdict:
    found = facts.find_newest_audit_row(connection)
    is_right = (found.id, found.mac) == (written.audit_id, written.audit_mac)
    if is_right:
        message = f"The newest audit row is {found.id}." if found.id else "There is no audit row."
    else:
        message = f"The newest audit row is {found.id}, not {written.audit_id}, or its MAC differs."
    return Verdict("newest audit row", is_right, message)


def _verify_keys() -> Verdict:
    result = rotation.check()
    release()
    failures = {
        "can't be decrypted": len(result.unreadable),
        "were changed outside of Pipe Labs": len(result.altered),
    }
    if not result.is_healthy:
        found = [f"{number:,} {what}" for what, number in failures.items() if number]
        missing = ", ".join(map(str, result.missing))
        found += [f"VAULT_KEYS lacks version {missing}"] if missing else []
        message = f"Of {result.total:,} exchange keys: {'; '.join(found)}."
        return Verdict("exchange keys", is_right=False, message=message)
    message = f"{result.total:,} exchange keys: every secret decrypts, every signature is right."
    return Verdict("exchange keys", is_right=True, message=message)


def _verify_audit_rows() -> Verdict:
    verified, wrong, first = 0, 0, 0
    for batch in verification.verify(Range()):
        verified += batch.verified
        wrong += len(batch.findings)
        first = first or next((finding.id for finding in batch.findings), 0)
    if wrong:
        message = (
            f"{wrong:,} of {verified:,} audit rows are not valid or can't be verified, the first is"
            f" {first}. If a key was retired since, name it with --previous-keys."
        )
        return Verdict("audit rows", is_right=False, message=message)
    return Verdict("audit rows", is_right=True, message=f"{verified:,} MACs of audit rows verify.")
