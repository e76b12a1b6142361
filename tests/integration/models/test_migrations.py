import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from types import SimpleNamespace
from uuid import uuid4

import pytest
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import NullPool, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from pipelabs import create_app
from pipelabs.core.db import db
from pipelabs.models import Base, ExchangeAPIKey, KeyStatus, Proof
from pipelabs.vault.envelope import Vault
from tests.each import each
from tests.waiting import wait_for

QUEUE = {f"procrastinate_{name}" for name in ("jobs", "events", "periodic_defers", "workers")}
"""Tables of the library of the background jobs, which declares them."""
TABLES = set(Base.metadata.tables) | QUEUE | {"alembic_version"}
LEFT_OVERS = """
SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace UNION ALL
SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
    AND typname NOT IN ('alembic_version', '_alembic_version')
"""
WITHOUT_INDEX = """
SELECT conrelid::regclass::text, conname FROM pg_constraint AS fk
WHERE contype = 'f' AND conname NOT LIKE 'procrastinate%' AND NOT EXISTS (
    SELECT FROM pg_index WHERE indrelid = conrelid AND indpred IS NULL AND indisvalid
        AND (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey
)
"""


@pytest.fixture(scope="module")
def bare(app, urls):
    name = f"{urls['owner'].database}_bare"
    server = create_engine(urls["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield {role: urls[role].set(database=name) for role in ("owner", "service")}
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def migrated(app, bare):
    made = []

    def make(service="service"):
        changes = {
            "SQLALCHEMY_DATABASE_URI": bare[service].render_as_string(hide_password=False),
            "DATABASE_MIGRATION_URL": bare["owner"].render_as_string(hide_password=False),
        }
        made.append(create_app(SimpleNamespace(**{**app.config, **changes})))
        return made[-1]

    yield make
    for other in made:
        with other.app_context():
            downgrade(revision="base")
            db.engine.dispose()


@pytest.fixture
def owner(bare):
    return create_engine(bare["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool)


@pytest.fixture
def service(urls, app):
    return create_engine(urls["service"], isolation_level="AUTOCOMMIT", poolclass=NullPool)


def test_the_way_up_leads_down_and_up_again(migrated, owner):
    with migrated().app_context():
        upgrade()
        downgrade(revision="base")
        with owner.connect() as connection:
            left = list(connection.scalars(text(LEFT_OVERS)))
        upgrade()

    assert left == []
    assert set(inspect(owner).get_table_names()) == TABLES


def test_the_migrations_make_what_the_models_say(migrated):
    with migrated().app_context():
        upgrade()

        check()


def test_a_table_that_is_not_what_the_models_say_is_found(migrated, owner):
    with migrated().app_context():
        upgrade()
        with owner.connect() as connection:
            connection.execute(text("ALTER TABLE clients DROP COLUMN notes"))

        with pytest.raises(SystemExit):
            check()


BOOK = """
INSERT INTO clients (id, created_at, updated_at, name, wallet_address, chain, tier, status, notes,
                     settings, version)
SELECT gen_random_uuid(), now(), now(), 'Client ' || n, 'T' || gen_random_uuid(), 'tron', 'Basic',
       'active', '', '{}', 1 FROM generate_series(1, :count) n;
INSERT INTO audit_events (uid, at, instance, request_id, status, event, details, mac_key, mac)
SELECT gen_random_uuid(), now(), 'x', 'x', 'SUCCESS', 'client.created', '{}', '', ''
FROM generate_series(1, :count) n
"""
INVALID_INDEXES = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
LARGE = 20_000


@pytest.fixture
def at_0011(migrated):
    """An application whose database is at the revision before large tables were thought of."""
    app = migrated()
    with app.app_context():
        upgrade(revision="0011")
        yield app


class Writer(Thread):
    """Inserts rows, as the service does, until it is stopped; counts them."""

    def __init__(self, engine):
        super().__init__()
        self.engine, self.written, self.errors, self.is_over = engine, 0, [], Event()

    def run(self):
        while not self.is_over.is_set():
            try:
                with self.engine.begin() as connection:
                    connection.execute(text(BOOK), {"count": 1})
                self.written += 1
            except DBAPIError as error:
                self.errors.append(error)

    def stop(self):
        self.is_over.set()
        self.join()


def test_migrations_of_large_tables_reject_no_insert(at_0011, owner):
    with owner.connect() as connection:
        connection.execute(text(BOOK), {"count": LARGE})
    writer = Writer(at_0011.extensions["sqlalchemy"].engines[None])
    writer.start()
    wait_for(lambda: writer.written)
    try:
        upgrade()
        written = writer.written
        wait_for(lambda: writer.written > written)
    finally:
        writer.stop()

    assert writer.errors == []
    with owner.connect() as connection:
        assert connection.scalars(text(INVALID_INDEXES)).all() == []
        assert connection.scalar(text("SELECT count(*) FROM clients")) == LARGE + writer.written


@pytest.fixture
def reader(bare):
    """A connection in a transaction that has read the audit trail."""
    with create_engine(bare["owner"], poolclass=NullPool).connect() as connection:
        connection.execute(text("SELECT count(*) FROM audit_events"))
        yield connection


def test_migration_gives_way_to_a_reader_and_tries_again(at_0011, reader, caplog):
    """A migration that waits for a table holds up everyone who comes after it."""

    def end_reader():
        wait_for(lambda: "a table is in use" in caplog.text)
        reader.rollback()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(end_reader)
        upgrade()
        ended.result()

    check()


def test_migration_replaces_an_index_that_an_interruption_left_invalid(at_0011, owner):
    name = "ix_client_markets_client_id_status"
    with owner.connect() as connection:
        connection.execute(text(f"CREATE INDEX {name} ON client_markets (client_id)"))
        connection.execute(
            text(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = CAST(:name AS regclass)"
            ),
            {"name": name},
        )

    upgrade()
    check()

    with owner.connect() as connection:
        assert connection.scalars(text(INVALID_INDEXES)).all() == []


def test_two_migrations_take_turns(at_0011, owner):
    """The lock is named, because releases of two versions have to use the same one."""
    has_asked = "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_try_advisory_lock|COMMIT'"
    has_asked += " AND datname = current_database() AND pid <> pg_backend_pid()"

    def migrate():
        with at_0011.app_context():
            upgrade()

    with ThreadPoolExecutor(1) as pool, owner.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(7310442)"))
        second = pool.submit(migrate)
        wait_for(lambda: other.scalar(text(has_asked)))
        assert other.scalar(text("SELECT version_num FROM alembic_version")) == "0011"
        other.execute(text("SELECT pg_advisory_unlock(7310442)"))
        second.result()

    check()


def test_a_service_that_owns_its_tables_meets_the_trigger(migrated, owner):
    with migrated(service="owner").app_context():
        upgrade()

        with pytest.raises(DBAPIError, match="append-only"):
            db.session.execute(text("DELETE FROM audit_events"))


def test_migrations_ask_for_a_database(migrated):
    with migrated().app_context(), pytest.raises(SystemExit, match="run against a database"):
        upgrade(sql=True)


@each(
    "statement",
    [
        "CREATE TABLE more (id int)",
        "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA more",
        "ALTER TABLE clients ADD COLUMN more int",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_events_append_only ON audit_events",
        "DROP TABLE clients",
        "DROP FUNCTION audit_events_append_only CASCADE",
        "CREATE OR REPLACE FUNCTION audit_events_append_only() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "TRUNCATE clients",
        "SET session_replication_role = replica",
        "UPDATE alembic_version SET version_num = 'x'",
        "UPDATE audit_events SET actor = 'x'",
        "DELETE FROM audit_events",
    ],
)
def test_the_service_may_neither_define_nor_rewrite(service, statement):
    with (
        service.connect() as connection,
        pytest.raises(DBAPIError, match=r"permission denied|must be owner"),
    ):
        connection.execute(text(statement))


@each("table", sorted(Base.metadata.tables))
def test_the_service_may_work_on_every_table(service, table):
    wanted = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    asked = text("SELECT has_table_privilege(:table, :verb)")
    with service.connect() as connection:
        may = {
            verb
            for verb in wanted | {"TRUNCATE", "REFERENCES", "TRIGGER"}
            if connection.scalar(asked, {"table": table, "verb": verb})
        }

    assert may == wanted - ({"UPDATE", "DELETE"} if table == "audit_events" else set())


def test_every_foreign_key_leads_an_index(service):
    with service.connect() as connection:
        without = connection.execute(text(WITHOUT_INDEX)).all()
        keys = connection.scalar(text("SELECT count(*) FROM pg_constraint WHERE contype = 'f'"))

    assert without == []
    assert keys >= 1


def test_every_constraint_that_the_models_name_is_there(service):
    named = {
        constraint.name
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
    }
    with service.connect() as connection:
        found = set(connection.scalars(text("SELECT conname FROM pg_constraint")))

    assert named - {None} <= found


KEY = """
INSERT INTO exchange_api_keys (id, client_id, exchange, label, is_testnet, ip_note, stage, status,
    last_four, fingerprint, fields, credentials, kek_version, permissions, version, created_at,
    updated_at, expires_at)
VALUES (:id, :client, 'okx', 'main', false, '', 'live', 'verified', '4711', '\\x01ff', '{api_key}',
    '\\x010001' || decode(repeat('00', 90), 'hex'), :kek_version, '{"read": {"verdict": "yes"}}', 1,
    now(), now(), now())
"""
CLIENT = """
INSERT INTO clients (id, name, wallet_address, chain, tier, status, settings, version, created_at,
    updated_at, notes)
VALUES (:id, 'A client', '0x52908400098527886E0F7030069857D2E4169EE7', 'evm', 'Basic', 'active',
    '{}', 1, now(), now(), '')
"""
EXCHANGE = """
INSERT INTO exchanges (slug, name, kind, website, docs_url, symbol_style, credentials, aliases,
    has_testnet, is_enabled, config, version, created_at, updated_at)
VALUES ('okx', 'OKX', 'both', 'https://a.example', 'https://a.example', 'dash', '{}', '{}',
    false, true, '{}', 1, now(), now())
"""


@pytest.fixture
def key_of_before(migrated, owner):
    """Migrate to the release before keys were signed, and add one there; return its id."""
    application = migrated()
    with application.app_context():
        upgrade(revision="0013")
        downgrade()
    with owner.begin() as connection:
        key_id, client_id = uuid4(), uuid4()
        connection.execute(text(CLIENT), {"id": client_id})
        connection.execute(text(EXCHANGE))
        connection.execute(text(KEY), {"id": key_id, "client": client_id, "kek_version": 7})
    return application, key_id


def test_the_migration_signs_existing_keys(key_of_before, monkeypatch):
    application, key_id = key_of_before
    ring = Vault({2: os.urandom(32), 1: os.urandom(32)})
    monkeypatch.setitem(application.extensions, "pipelabs.vault", ring)
    with application.app_context():
        upgrade()
        key = db.session.get_one(ExchangeAPIKey, key_id)
        found = (key.proof, key.status, (key.mac or b"")[:2], key.kek_version, key.altered_at)
        db.session.rollback()

    assert found == (Proof.VALID, KeyStatus.VERIFIED, b"\0\2", 1, None)


def test_the_migration_does_not_leave_keys_unsigned(key_of_before, owner):
    application, key_id = key_of_before
    with application.app_context(), pytest.raises(SystemExit, match="VAULT_KEYS is not set"):
        upgrade()

    with owner.connect() as connection:
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        connection.execute(
            text(
                "UPDATE exchange_api_keys SET stage = 'destroyed', credentials = NULL,"
                " kek_version = NULL"
            )
        )
    assert revision < "0013"
    with application.app_context():
        upgrade()
        assert db.session.get_one(ExchangeAPIKey, key_id).proof is Proof.VALID
        db.session.rollback()
