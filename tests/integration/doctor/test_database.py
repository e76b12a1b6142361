from datetime import timedelta
from types import SimpleNamespace

import pytest
import time_machine
from flask_migrate import downgrade, upgrade
from sqlalchemy import NullPool, create_engine, text

from pipelabs import create_app
from pipelabs.core.db import db
from pipelabs.doctor import database, tables
from pipelabs.doctor.findings import Severity
from pipelabs.models import now
from tests.each import each
from tests.factories import make_vault_keys
from tests.paths import ROOT

BEFORE, HEAD = sorted(path.name[:4] for path in (ROOT / "migrations/versions").glob("0*"))[-2:]
OLD_INDEX = "CREATE INDEX ix_clients_updated_at_id ON clients (updated_at, id)"
UNIQUE = "uq_exchange_api_keys_candidate"
TRIGGER = "audit_events_append_only"
RULE = "ck_clients_settings_size"
SMALL = f"ALTER TABLE clients ADD CONSTRAINT {RULE} CHECK (octet_length(settings::text) <= 16384)"
KEY = (
    "ALTER TABLE sessions ADD CONSTRAINT fk_sessions_admin_id FOREIGN KEY (admin_id)"
    " REFERENCES admins (id)"
)
BIG_CLIENT = """
INSERT INTO clients (id, created_at, updated_at, name, wallet_address, chain, tier, status, notes,
    settings, version)
VALUES (gen_random_uuid(), now(), now(), 'A client', '0x52908400098527886E0F7030069857D2E4169EE7',
    'evm', 'Basic', 'active', '', jsonb_build_object('a', repeat('x', 20000)), 1)
"""


def set_revision(revision):
    return f"UPDATE alembic_version SET version_num = '{revision}'"  # noqa: S608 - of this file


@pytest.fixture(scope="module")
def bare(urls):
    """A database of the owner's, without letters beyond ASCII."""
    name = f"{urls['owner'].database}_doctor"
    server = create_engine(urls["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 LC_CTYPE 'C'"))
    yield {role: urls[role].set(database=name) for role in ("owner", "service")}
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def examined_of(app, bare):
    """Return the application of the bare database, for a role."""
    made = []

    def make(role):
        changes = {
            "SQLALCHEMY_DATABASE_URI": bare[role].render_as_string(hide_password=False),
            "DATABASE_MIGRATION_URL": bare["owner"].render_as_string(hide_password=False),
            "VAULT_KEYS": make_vault_keys(),
        }
        made.append(create_app(SimpleNamespace(**{**app.config, **changes})))
        return made[-1]

    yield make
    for other in made:
        with other.app_context():
            db.engine.dispose()


@pytest.fixture(scope="module")
def migrated(examined_of):
    application = examined_of("service")
    with application.app_context():
        upgrade()
    return application


@pytest.fixture
def owner(bare):
    return create_engine(bare["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool)


@pytest.fixture
def planted(migrated, owner, examined):
    """Return what is found after statements of the owner, which others undo."""

    def plant(does, undoes):
        with owner.connect() as connection:
            for statement in does:
                connection.exec_driver_sql(statement)
            found = [result for result in examined(migrated) if result.check != "locale"]
            for statement in undoes:
                connection.exec_driver_sql(statement)
        return found

    return plant


@each(
    ("check", "severity", "message", "does", "undoes"),
    [
        (
            "schema",
            "warning",
            "ix_clients_updated_at_id of clients is missing. As the owner run: CREATE INDEX"
            " CONCURRENTLY ix_clients_updated_at_id ON clients (updated_at, id)",
            ["DROP INDEX ix_clients_updated_at_id"],
            [OLD_INDEX],
        ),
        (
            "schema",
            "error",
            f"The index {UNIQUE} of exchange_api_keys is missing. As the owner run: CREATE UNIQUE",
            [f"DROP INDEX {UNIQUE}"],
            [
                f"CREATE UNIQUE INDEX {UNIQUE} ON exchange_api_keys (client_id, exchange, label)"
                " WHERE stage = 'candidate'"
            ],
        ),
        (
            "schema",
            "warning",
            "The index more of clients is not one of this release.",
            ["CREATE INDEX more ON clients (tier)"],
            ["DROP INDEX more"],
        ),
        (
            "schema",
            "warning",
            "The table more is not one of this release.",
            ["CREATE TABLE more (id int)"],
            ["DROP TABLE more"],
        ),
        (
            "schema",
            "warning",
            "The column more of clients is not one of this release.",
            ["ALTER TABLE clients ADD COLUMN more int"],
            ["ALTER TABLE clients DROP COLUMN more"],
        ),
        (
            "schema",
            "error",
            "The column notes of clients differs in: nullable.",
            ["ALTER TABLE clients ALTER COLUMN notes DROP NOT NULL"],
            ["ALTER TABLE clients ALTER COLUMN notes SET NOT NULL"],
        ),
        (
            "schema",
            "error",
            "The fk fk_sessions_admin_id of sessions is missing.",
            ["ALTER TABLE sessions DROP CONSTRAINT fk_sessions_admin_id"],
            [KEY],
        ),
        (
            "indexes",
            "error",
            "ix_clients_status_tier is invalid",
            [
                "UPDATE pg_index SET indisvalid = false"
                " WHERE indexrelid = 'ix_clients_status_tier'::regclass"
            ],
            ["REINDEX INDEX ix_clients_status_tier"],
        ),
        (
            "constraints",
            "error",
            f"The constraint {RULE} of clients is missing.",
            [f"ALTER TABLE clients DROP CONSTRAINT {RULE}"],
            [SMALL],
        ),
        (
            "constraints",
            "error",
            f"1 row of clients breaks the constraint {RULE}.",
            [f"ALTER TABLE clients DROP CONSTRAINT {RULE}", BIG_CLIENT, f"{SMALL} NOT VALID"],
            ["DELETE FROM clients", f"ALTER TABLE clients VALIDATE CONSTRAINT {RULE}"],
        ),
        (
            "constraints",
            "warning",
            f"The constraint {RULE} was never checked.",
            [f"ALTER TABLE clients DROP CONSTRAINT {RULE}", f"{SMALL} NOT VALID"],
            [f"ALTER TABLE clients VALIDATE CONSTRAINT {RULE}"],
        ),
        (
            "constraints",
            "warning",
            "The constraint fk_sessions_admin_id was never checked.",
            ["ALTER TABLE sessions DROP CONSTRAINT fk_sessions_admin_id", f"{KEY} NOT VALID"],
            ["ALTER TABLE sessions VALIDATE CONSTRAINT fk_sessions_admin_id"],
        ),
        (
            "audit_protection",
            "error",
            "is disabled",
            [f"ALTER TABLE audit_events DISABLE TRIGGER {TRIGGER}"],
            [f"ALTER TABLE audit_events ENABLE TRIGGER {TRIGGER}"],
        ),
        (
            "audit_protection",
            "error",
            "is missing",
            [f"DROP TRIGGER {TRIGGER} ON audit_events"],
            [
                f"CREATE TRIGGER {TRIGGER} BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events"
                f" FOR EACH STATEMENT EXECUTE FUNCTION {TRIGGER}()"
            ],
        ),
        (
            "audit_protection",
            "warning",
            "may rewrite the audit trail",
            ["GRANT UPDATE ON audit_events TO pipelabs"],
            ["REVOKE UPDATE ON audit_events FROM pipelabs"],
        ),
        (
            "migrations",
            "error",
            "1 migration is pending. Run flask db upgrade.",
            [set_revision(BEFORE)],
            [set_revision(HEAD)],
        ),
        (
            "migrations",
            "error",
            "has migration 9999, which this release does not know",
            [set_revision("9999")],
            [set_revision(HEAD)],
        ),
    ],
)
def test_a_defect_of_the_database_is_found_alone(planted, check, severity, message, does, undoes):
    found = planted(does, undoes)

    assert [(one.check, one.severity) for one in found] == [(check, Severity(severity))], found
    assert message in found[0].message
    assert planted([], []) == []


def test_a_locale_without_letters_is_found_alone(migrated, examined):
    [found] = examined(migrated)

    assert (found.check, found.severity) == ("locale", Severity.WARNING)


def test_a_service_that_owns_its_tables_is_found(migrated, examined_of, examined):
    _, found = examined(examined_of("owner"))

    assert (found.check, found.severity) == ("audit_protection", Severity.WARNING)


def test_a_database_with_few_connections_is_found_alone(planted, bare):
    limit = f"ALTER DATABASE {bare['owner'].database} CONNECTION LIMIT"

    [found] = planted([f"{limit} 20"], [f"{limit} -1"])

    assert (found.check, found.severity) == ("connections", Severity.WARNING)
    assert "one instance can use 36" in found.message


def test_a_primary_that_became_read_only_is_found_alone(migrated, bare, planted):
    with migrated.app_context():
        db.engine.dispose()
    setting = f"ALTER DATABASE {bare['owner'].database}"

    found = planted([f"{setting} SET default_transaction_read_only = on"], [f"{setting} RESET ALL"])
    with migrated.app_context():
        db.engine.dispose()

    assert [(one.check, one.severity) for one in found] == [("postgresql", Severity.ERROR)]


def test_a_database_without_migrations_is_found_alone(migrated, examined):
    with migrated.app_context():
        db.session.remove()
        db.engine.dispose()
        downgrade(revision="base")
        found = [result for result in examined(migrated) if result.check != "locale"]
        upgrade()

    assert [(one.check, one.severity) for one in found] == [("migrations", Severity.ERROR)]
    assert "migrations are pending" in found[0].message


def test_a_missing_extension_is_found_alone(planted, owner):
    query = "SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%%trgm%%'"
    with owner.connect() as connection:
        indexes = list(connection.exec_driver_sql(query).scalars())

    found = planted(["DROP EXTENSION pg_trgm CASCADE"], ["CREATE EXTENSION pg_trgm", *indexes])

    assert [(one.check, one.severity) for one in found] == [("pg_trgm", Severity.ERROR)]
    assert planted([], []) == []


@each(("seconds", "severity"), [(-60, "error"), (60, "error"), (5, "warning")])
def test_a_clock_that_differs_is_found_alone(examined, seconds, severity):
    with time_machine.travel(now() + timedelta(seconds=seconds)):
        [found] = examined()

    assert (found.check, found.severity) == ("clock", Severity(severity))


def test_an_old_replica_of_another_encoding_is_found(app, monkeypatch):
    old = text("SELECT 14 AS version, 'on' AS is_read_only, 'SQL_ASCII' AS encoding")
    monkeypatch.setattr(database, "SERVER", old)
    with app.app_context():
        read_only, version, encoding = database.check_server()

    assert "PostgreSQL is read-only" in read_only.message
    assert "PostgreSQL 14 is too old" in version.message
    assert "the encoding SQL_ASCII" in encoding.message


def test_only_the_first_differences_are_listed(planted):
    names = [f"more_{number}" for number in range(tables.MAX_SHOWN + 2)]

    found = planted(
        [f"CREATE TABLE {name} (id int)" for name in names], [f"DROP TABLE {', '.join(names)}"]
    )

    assert len(found) == tables.MAX_SHOWN + 1
    assert found[-1].message == "There are 2 further differences."
