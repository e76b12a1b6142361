"""`flask ops`, with the real programs on real databases."""

import hashlib
import json
import os
import stat
from dataclasses import asdict

import pytest
from sqlalchemy import URL, make_url, select, text

from pipelabs.audit import trail
from pipelabs.backup import manifest
from pipelabs.backup import programs as backup_programs
from pipelabs.backup.errors import BackupError
from pipelabs.backup.service import hash_file
from pipelabs.core.db import db
from pipelabs.core.errors import Unavailable
from pipelabs.core.keyring import Key
from pipelabs.models import AuditEvent, Client
from tests.each import each
from tests.factories import CANARY, make_client

pytestmark = pytest.mark.own_database
OK = "ok     "
FAILED = "failed "


@pytest.fixture
def run(app, empty_database, monkeypatch):
    monkeypatch.setenv("RESTORE_DATABASE_URL", empty_database)
    return lambda *words: app.test_cli_runner().invoke(args=("ops", *map(str, words)))


@pytest.fixture
def dump(run, book, tmp_path):
    """The path of a backup."""
    assert run("backup", tmp_path / "desk.dump").exit_code == 0
    return tmp_path / "desk.dump"


def subjects(result, state):
    lines = result.output.splitlines()
    return [line.removeprefix(state)[1:18].strip() for line in lines if line.startswith(state)]


def edit(dump, **changes):
    path = manifest.path_of(dump)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def sign_again(app, dump, **changes):
    """Write the manifest with changes, as this installation would."""
    with app.app_context():
        values = asdict(manifest.read(dump)) | changes
        del values["mac"], values["mac_key"]
        manifest.path_of(dump).write_text(manifest.sign(values).as_json())


def test_a_backup_is_restored_and_verified(run, dump):
    result = run("verify-restore", dump)

    assert result.exit_code == 0, result.output
    assert subjects(result, OK) == [
        "manifest",
        "file",
        "key ring",
        "restore",
        "migration",
        "rows",
        "newest audit row",
        "exchange keys",
        "audit rows",
    ]
    assert result.output.splitlines()[-1].startswith("The restore was verified in ")
    assert "4 exchange keys: every secret decrypts" in result.output


def test_the_service_keeps_its_own_database(app, run, dump):
    run("verify-restore", dump)

    with app.app_context():
        assert db.session.scalar(text("SELECT current_database()")) != "restored"
        assert len(db.session.scalars(select(Client)).all()) == 4


def test_a_backup_in_a_folder_has_a_name_of_its_own(run, book, tmp_path):
    result = run("backup", tmp_path)

    [path] = tmp_path.glob("pipelabs-*Z.dump")
    assert sorted(tmp_path.iterdir()) == [path, manifest.path_of(path)]
    assert result.stdout.startswith(f"{path}: ")
    assert "Versions of VAULT_KEYS needed: 2" in result.output


def test_a_backup_is_an_event(run, book, rows, tmp_path):
    run("backup", tmp_path / "desk.dump")

    [event] = rows(AuditEvent, event="database.backed_up")
    content = (tmp_path / "desk.dump").read_bytes()
    assert event.actor.startswith("cli:")
    assert event.details == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": str(len(content)),
    }


def test_a_backup_that_can_not_be_recorded_is_not_kept(run, book, tmp_path, monkeypatch):
    def reject(*_, **__):
        raise Unavailable("The audit trail can't be written.")

    monkeypatch.setattr(trail, "record", reject)

    assert "Error: The audit trail can't be written." in run("backup", tmp_path).output
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_has_versions_and_counts_and_no_secret(app, dump):
    content = manifest.path_of(dump).read_text()
    document = json.loads(content)

    assert document["rows"]["clients"] == 4
    assert document["key_ring_versions"] == [2]
    assert document["rows"]["audit_events"] > 0
    secrets = (
        CANARY,
        app.config["SECRET_KEY"],
        str(make_url(app.config["DATABASE_MIGRATION_URL"]).password),
    )
    assert not [secret for secret in secrets if secret in content]


def test_a_backup_is_for_its_owner_only(dump):
    for path in (dump, manifest.path_of(dump)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_dump_and_counts_are_of_one_snapshot(app, run, book, tmp_path, monkeypatch):
    """A client that is created while the dump is made is in neither."""
    write = backup_programs.run

    def write_later(argv, url):
        with app.app_context():
            make_client()
            db.session.commit()
        write(argv, url)

    monkeypatch.setattr(backup_programs, "run", write_later)
    run("backup", tmp_path / "desk.dump")
    monkeypatch.setattr(backup_programs, "run", write)
    with app.app_context():
        assert len(db.session.scalars(select(Client)).all()) == 5

    assert run("verify-restore", tmp_path / "desk.dump").exit_code == 0


def test_no_password_is_on_a_command_line(app, run, book, tmp_path, monkeypatch):
    """A program in place of `pg_dump` writes down what it gets."""
    seen = tmp_path / "seen"
    program = tmp_path / "program"
    program.write_text(
        f"#!/bin/sh\ncase $1 in --version) exec {app.config['PG_DUMP']} --version;; esac\n"
        f'echo "$@" >{seen}\nenv >>{seen}\ncat "$PGSERVICEFILE" >>{seen}\nexit 3\n'
    )
    program.chmod(0o755)
    monkeypatch.setitem(app.config, "PG_DUMP", str(program))

    result = run("backup", tmp_path / "desk.dump")

    password = str(make_url(app.config["DATABASE_MIGRATION_URL"]).password)
    lines = seen.read_text().splitlines()
    assert [line for line in lines if password in line] == [f"PGPASSWORD={password}"]
    assert not {"SECRET_KEY", "VAULT_KEYS"} & {line.partition("=")[0] for line in lines}
    assert "Error: program failed. it ended with 3" in result.output
    assert list(tmp_path.glob("desk*")) == []


def test_a_backup_replaces_no_file(run, dump):
    before = dump.read_bytes()

    assert "exists. Name another file." in run("backup", dump).output
    assert dump.read_bytes() == before
    dump.unlink()
    assert "desk.dump.json exists." in run("backup", dump).output


def test_a_folder_that_is_missing_is_a_sentence(run, book, tmp_path):
    result = run("backup", tmp_path / "missing" / "desk.dump")

    assert result.exit_code == 1
    assert "Error: pg_dump failed. pg_dump: error: " in result.output


def test_a_full_disk_is_a_sentence(run, book, tmp_path, monkeypatch):
    def reject(*_):
        raise OSError(28, "No space left on device", "desk.dump")

    monkeypatch.setattr(os, "fsync", reject)

    result = run("backup", tmp_path / "desk.dump")

    assert "Error: desk.dump: No space left on device." in result.output
    assert list(tmp_path.iterdir()) == []


@each(
    ("version", "message"),
    [
        ("pg_dump (PostgreSQL) 9.6.1", "has version 9, the server"),
        ("what?", "has version 0, the server"),
        (None, "pg_dump was not found. Install the client programs of PostgreSQL"),
    ],
)
def test_a_program_that_does_not_fit_is_a_sentence(app, run, tmp_path, version, message):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755 if version else 0o644)
    app.config["PG_DUMP"], before = str(program), app.config["PG_DUMP"]

    result = run("backup", tmp_path / "desk.dump")
    app.config["PG_DUMP"] = before

    assert result.exit_code == 1
    assert message in result.output


def test_a_database_without_tables_is_not_backed_up(
    app, run, programs, empty_database, tmp_path, monkeypatch
):
    monkeypatch.setitem(app.config, "DATABASE_MIGRATION_URL", empty_database)

    result = run("backup", tmp_path / "desk.dump")

    assert "The database has no tables of Pipe Labs. Check its address." in result.output


@each("offset", [0, 100, -1])
def test_a_flipped_byte_of_the_dump_is_found(run, dump, offset):
    content = bytearray(dump.read_bytes())
    content[offset] ^= 1
    dump.write_bytes(content)

    result = run("verify-restore", dump)
    content[offset] ^= 1
    dump.write_bytes(content)

    assert (result.exit_code, subjects(result, FAILED)) == (1, ["file"])
    assert subjects(result, OK) == ["manifest", "key ring"]
    assert "Error: The restore was not verified" in result.output


def test_a_truncated_dump_is_found(run, dump):
    dump.write_bytes(dump.read_bytes()[:-1])

    assert subjects(run("verify-restore", dump), FAILED) == ["file"]


def test_a_missing_version_of_the_ring_is_found(run, dump, ring):
    ring(1)

    result = run("verify-restore", dump)

    assert (result.exit_code, subjects(result, FAILED)) == (1, ["key ring"])
    assert "VAULT_KEYS lacks version 2" in result.output


def test_a_manifest_that_was_changed_is_found(run, dump):
    edit(dump, audit_id=1)

    result = run("verify-restore", dump)

    assert (result.exit_code, subjects(result, FAILED)) == (1, ["manifest"])


def test_a_manifest_of_another_installation_is_not_trusted(app, run, dump, monkeypatch):
    monkeypatch.setitem(app.extensions, "pipelabs.audit_keys", [Key("v7", bytes(32))])

    result = run("verify-restore", dump)

    assert subjects(result, FAILED) == ["manifest"]
    assert "which is not here" in result.output


def test_keys_of_earlier_settings_verify(app, run, dump, monkeypatch, tmp_path):
    monkeypatch.setitem(app.extensions, "pipelabs.audit_keys", [Key("v7", bytes(32))])
    file = tmp_path / "previous"
    file.write_text(f"SECRET_KEY={app.config['SECRET_KEY']}\n")

    assert run("verify-restore", dump, "--previous-keys", file).exit_code == 0


@each(
    ("statement", "failed", "message"),
    [
        (
            "DELETE FROM audit_events WHERE id = (SELECT max(id) FROM audit_events)",
            ["rows", "newest audit row"],
            "The newest audit row is",
        ),
        (
            "DELETE FROM audit_events WHERE id = (SELECT min(id) FROM audit_events)",
            ["rows"],
            "The number of rows differs: audit_events",
        ),
        ("DROP TABLE snoozes", ["rows"], "snoozes missing, not 0"),
        ("CREATE TABLE more (id int)", ["rows"], "more 0, not there"),
        (
            "UPDATE audit_events SET actor = 'x' WHERE id = (SELECT min(id) FROM audit_events)",
            ["audit rows"],
            "audit rows are not valid or can't be verified",
        ),
        (
            "UPDATE audit_events SET mac = sha256('')"
            " WHERE id = (SELECT max(id) FROM audit_events)",
            ["newest audit row", "audit rows"],
            "or its MAC differs",
        ),
        (
            "UPDATE exchange_api_keys SET last_four = '0000' WHERE label = 'main'",
            ["exchange keys"],
            "1 were changed outside of Pipe Labs",
        ),
        (
            "UPDATE exchange_api_keys SET credentials = set_byte(credentials, 20, 0)",
            ["exchange keys"],
            "can't be decrypted",
        ),
        (
            "UPDATE alembic_version SET version_num = '0024'",
            ["migration"],
            "The database has migration 0024, the manifest",
        ),
    ],
)
def test_what_was_changed_after_the_restore_is_found(
    run, dump, restored, statement, failed, message
):
    assert run("verify-restore", dump).exit_code == 0
    restored(statement)

    result = run("verify-restore", dump, "--no-restore")
    restored("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")

    assert (result.exit_code, subjects(result, FAILED)) == (1, failed), result.output
    assert message in result.output


def test_a_backup_of_another_release_needs_that_release(run, dump, restored, app):
    run("verify-restore", dump)
    restored("UPDATE alembic_version SET version_num = '0024'")
    sign_again(app, dump, revision="0024")

    result = run("verify-restore", dump, "--no-restore")

    assert subjects(result, FAILED) == ["migration"]
    assert "Verify it with that release, then upgrade." in result.output


def test_a_database_with_tables_is_not_restored_into(run, dump, restored):
    restored("CREATE VIEW something AS SELECT 1")

    result = run("verify-restore", dump)

    assert result.exit_code == 1
    assert "The database is not empty. Create a new one for the restore." in result.output


def test_a_restore_that_fails_leaves_the_database_empty(app, run, dump):
    whole = dump.read_bytes()
    dump.write_bytes(whole[: len(whole) // 2])
    sign_again(app, dump, bytes=len(whole) // 2, sha256=hash_file(dump))

    result = run("verify-restore", dump)
    dump.write_bytes(whole)
    sign_again(app, dump, bytes=len(whole), sha256=hash_file(dump))

    assert result.exit_code == 1
    assert "Error: pg_restore failed. pg_restore: error: " in result.output
    assert run("verify-restore", dump).exit_code == 0


@each(
    ("content", "message"),
    [
        (None, "can't be read: No such file or directory."),
        ("{", "is not a manifest of flask ops backup."),
        ("[" * 100_000, "is not a manifest of flask ops backup."),
        ("[]", "is not a manifest of this release."),
        ("{}", "Invalid: audit_id, audit_keys, audit_mac, bytes, created_at, format,"),
    ],
)
def test_a_malformed_manifest_is_a_sentence(run, tmp_path, content, message):
    dump = tmp_path / "desk.dump"
    dump.touch()
    manifest.path_of(dump).unlink(missing_ok=True)
    if content is not None:
        manifest.path_of(dump).write_text(content)

    result = run("verify-restore", dump)

    assert result.exit_code == 1
    assert message in result.output


@each(
    ("url", "message"),
    [
        ("postgresql://owner:secret-word@127.0.0.1/x", "Others on this machine can see"),
        ("postgresql://owner@127.0.0.1/x?password=secret-word", "Others on this machine can see"),
        ("mysql://owner@127.0.0.1/x", "Name the empty database"),
        ("postgresql://owner@127.0.0.1", "Name the empty database"),
        ("somewhere", "Name the empty database"),
    ],
)
def test_the_database_to_restore_into_is_named_without_a_password(run, dump, url, message):
    result = run("verify-restore", dump, "--into", url)

    assert result.exit_code == 2
    assert message in result.output
    assert "secret-word" not in result.output


def test_postgresql_that_is_away_is_a_sentence(run, dump):
    result = run("verify-restore", dump, "--into", "postgresql://owner@127.0.0.1:1/x")

    assert result.exit_code == 1
    assert "Error: PostgreSQL: connection to server at" in result.output


def test_an_address_with_a_line_break_is_rejected(app):
    with app.app_context(), pytest.raises(BackupError, match="line break"):
        backup_programs.run(["x"], "postgresql+psycopg2://owner@127.0.0.1/x%0Ahost=evil?a=b%0Ac=d")


def test_a_password_may_come_from_elsewhere(app, run, dump, monkeypatch, empty_database):
    url = make_url(empty_database)
    monkeypatch.setenv("PGPASSWORD", str(url.password))
    monkeypatch.setitem(
        app.config,
        "PG_ENVIRONMENT",
        {**app.config["PG_ENVIRONMENT"], "PGPASSWORD": str(url.password)},
    )
    without = URL.create("postgresql", url.username, None, url.host, url.port, url.database)

    assert run("verify-restore", dump, "--into", without.render_as_string()).exit_code == 0


def test_a_database_without_audit_rows_is_verified(app, run, programs, tmp_path):
    run("backup", tmp_path / "desk.dump")

    assert "There is no audit row." in run("verify-restore", tmp_path / "desk.dump").output
