"""Connections to PostgreSQL: their statements, their time-outs, and those that were lost."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from config import Config
from pipelabs.accounts.sessions import FIND_SESSION
from pipelabs.core import connections
from pipelabs.core.connections import CAN_PREPARE
from pipelabs.core.db import db, get_connection, run_prepared
from pipelabs.models import AuditEvent, Client
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body, make_wallet

READ = {
    "session_id": uuid4(),
    "admin_id": uuid4(),
    "token_version": 0,
    "caller": "unknown",
    "moment": datetime(2026, 11, 26, tzinfo=UTC),
}
"""Values that FIND_SESSION finds nothing for."""
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


@pytest.fixture
def sent(alone):
    """What the only connection is sent, from its next call on."""
    client, _ = alone
    statements = []
    with client.application.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    return statements


@pytest.mark.own_database
def test_a_create_sends_three_statements(alone, operator, sent):
    client, _ = alone
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    sent.clear()

    body = make_body(wallet_address=make_wallet(), email=None)
    response = client.post(QUICK_CLIENT, json=body, headers=operator)

    assert response.status_code == 201
    assert [statement.partition("(")[0] for statement in sent] == [
        "EXECUTE find_session",
        "BEGIN; EXECUTE insert_client",
        "EXECUTE insert_audit_row_with_id",
    ]
    assert sent[2].endswith("; COMMIT")


@pytest.mark.own_database
def test_reading_begins_no_transaction(alone, operator, sent):
    client, _ = alone
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    client.get(created.headers["Location"], headers=operator)
    sent.clear()

    response = client.get(created.headers["Location"], headers=operator)

    assert response.status_code == 200
    assert len(sent) == 2
    assert not {"BEGIN", "COMMIT", "ROLLBACK"} & set(" ".join(sent).split())


@pytest.mark.own_database
def test_nothing_is_prepared_behind_a_pooler(alone, operator, sent, rows):
    client, _ = alone
    with client.application.app_context(), db.engine.connect() as connection:
        connection.info[CAN_PREPARE] = False

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 201
    assert len(rows(Client)) == len(rows(AuditEvent)) == 1
    assert not {"PREPARE", "EXECUTE"} & set(" ".join(sent).split())


@pytest.fixture
def lose(urls):
    """Return a function that ends the process behind the connection of the unit of work."""

    def end():
        process = get_connection().connection.get_backend_pid()
        with create_engine(urls["owner"], poolclass=NullPool).connect() as owner:
            assert owner.scalar(text(f"SELECT pg_terminate_backend({process}, 5000)"))

    return end


@pytest.mark.own_database
def test_a_read_on_a_lost_connection_is_repeated_on_another(alone, lose):
    client, _ = alone
    with client.application.app_context():
        lose()

        assert run_prepared(FIND_SESSION, READ) == []


@pytest.mark.own_database
def test_a_read_in_a_lost_transaction_is_not_repeated(alone, lose):
    client, _ = alone
    with client.application.app_context():
        db.session.execute(text("CREATE TEMPORARY TABLE written (id int) ON COMMIT DROP"))
        lose()

        with pytest.raises(DBAPIError) as raised:
            run_prepared(FIND_SESSION, READ)

    assert raised.value.connection_invalidated


@pytest.mark.own_database
def test_a_read_without_an_answer_is_not_repeated(alone, urls, sent):
    client, _ = alone
    with (
        client.application.app_context(),
        create_engine(urls["owner"], poolclass=NullPool).begin() as owner,
    ):
        run_prepared(FIND_SESSION, READ)
        sent.clear()
        owner.execute(text("LOCK TABLE sessions"))
        connections.install_timeout(0.5)
        try:
            with pytest.raises(DBAPIError, match="does not answer"):
                run_prepared(FIND_SESSION, READ)
        finally:
            connections.uninstall_timeout()

    assert len(sent) == 1


@pytest.mark.own_database
def test_a_connection_that_the_server_closed_is_replaced_unnoticed(alone, operator, lose):
    client, _ = alone
    with client.application.app_context():
        lose()
        db.session.rollback()

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 201
