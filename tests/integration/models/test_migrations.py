from types import SimpleNamespace

import pytest
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import NullPool, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from pipelabs import create_app
from pipelabs.core.db import db
from pipelabs.models import Base
from tests.each import each

TABLES = set(Base.metadata.tables) | {"alembic_version"}
LEFT_OVERS = """
SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace UNION ALL
SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
    AND typname NOT IN ('alembic_version', '_alembic_version')
"""
WITHOUT_INDEX = """
SELECT conrelid::regclass::text, conname FROM pg_constraint AS fk
WHERE contype = 'f' AND NOT EXISTS (
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
