import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from pipelabs.core.db import db, unit_of_work
from pipelabs.vault import rotation
from tests.factories import make_actor, make_client, make_exchange, make_key
from tests.servers import postgres_program


@pytest.fixture
def programs(app, monkeypatch):
    """Let the client programs of the running PostgreSQL be used."""
    for name in ("pg_dump", "pg_restore"):
        monkeypatch.setitem(app.config, name.upper(), str(postgres_program(name)))


@pytest.fixture
def book(app, programs, ring):
    """A database with clients, exchange keys of two versions, and audit rows."""
    with app.app_context():
        with unit_of_work():
            make_exchange()
            for number in range(3):
                make_key(make_client(), label=f"account {number}")
        ring(2, 1)
        with unit_of_work():
            rotation.rotate(make_actor())
        with unit_of_work():
            make_key(make_client())
        db.session.remove()


@pytest.fixture
def empty_database(urls):
    """The URL of a new database of the owner's."""
    name = f"{urls['owner'].database}_restored"
    server = create_engine(urls["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    yield urls["owner"].set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def restored(empty_database):
    """Return what changes the restored database as its owner does."""

    def run(*statements):
        engine = create_engine(make_url(empty_database), poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in statements:
                connection.execute(text(statement))

    return run
