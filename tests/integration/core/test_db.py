"""Connections to PostgreSQL: their time-outs, and those that can no longer write."""

from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from config import Config
from pipelabs.core.db import db
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

SETTINGS = {
    "statement_timeout": "5s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "15s",
    "TimeZone": "UTC",
}


def shown(application):
    """The settings of a connection."""
    with application.app_context(), db.engine.connect() as connection:
        return {name: connection.scalar(text(f"SHOW {name}")) for name in SETTINGS}


@pytest.fixture
def plain(variant):
    """An application with the engine's options of production."""
    return variant(SQLALCHEMY_ENGINE_OPTIONS=Config.SQLALCHEMY_ENGINE_OPTIONS)


def test_connections_have_time_outs_also_after_a_rollback(plain):
    assert shown(plain) == shown(plain) == SETTINGS


@each(
    ("options", "changed"),
    [
        ("-c statement_timeout=60000", {"statement_timeout": "1min"}),
        (
            "-c lock_timeout=1s -c timezone=Asia/Tokyo",
            {"lock_timeout": "1s", "TimeZone": "Asia/Tokyo"},
        ),
        ("-c search_path=public", {}),
    ],
)
def test_options_of_the_url_win(app, variant, options, changed):
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    other = variant(
        SQLALCHEMY_DATABASE_URI=f"{url}?options={options.replace(' ', '%20')}",
        SQLALCHEMY_ENGINE_OPTIONS=Config.SQLALCHEMY_ENGINE_OPTIONS,
    )

    assert shown(other) == SETTINGS | changed


@pytest.fixture
def alone(variant):
    """An application with one connection, and a function that runs a statement on it."""
    application = variant(SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 0})

    def run(statement):
        with application.app_context(), db.engine.connect() as connection:
            connection.execute(text(statement))
            connection.commit()

    yield application.test_client(), run
    with application.app_context():
        db.engine.dispose()


@pytest.mark.own_database
def test_a_write_after_one_on_a_read_only_connection_works(alone, operator):
    client, run = alone
    run("SET default_transaction_read_only = on")

    statuses = [
        client.post(QUICK_CLIENT, json=make_body(), headers=operator).status_code for _ in range(2)
    ]

    assert statuses == [503, 201]


@pytest.mark.own_database
def test_ready_drops_read_only_connections(alone):
    client, run = alone
    run("SET default_transaction_read_only = on")

    answers = [client.get("/ready") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 200]
    assert answers[0].json == {"status": "unavailable", "reason": "database"}


def backend_of(statement):
    """Return the process of the connection that a statement fails or works on."""
    with db.engine.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
        with suppress(DBAPIError):
            connection.execute(text(statement))
    return process


@pytest.mark.own_database
@each(
    ("state", "is_lost"),
    [
        ("25006", True),
        ("25P03", True),
        ("57P01", True),
        ("57P03", True),
        ("08006", True),
        ("08P01", True),
        ("57014", False),
        ("40P01", False),
        ("53300", False),
        ("P0001", False),
    ],
)
def test_an_error_of_a_lost_server_replaces_the_connection(alone, state, is_lost):
    client, _ = alone
    fails = f"DO 'BEGIN RAISE EXCEPTION USING ERRCODE = ''{state}''; END'"

    with client.application.app_context():
        processes = [backend_of(statement) for statement in (fails, "SELECT 1")]

    assert (len(set(processes)) == 2) is is_lost
