import pytest
from sqlalchemy import NullPool, create_engine, text

from pipelabs.core import postgres_timeout
from pipelabs.core.db import db
from tests.factories import QUICK_CLIENT, make_body
from tests.waiting import PATIENCE_S


@pytest.fixture
def in_time():
    postgres_timeout.keep(0.5)
    yield
    postgres_timeout.drop()


@pytest.fixture
def held(urls):
    """Keep the table of clients to oneself, as the owner, who has no time-outs."""
    with create_engine(urls["owner"], poolclass=NullPool).begin() as connection:
        connection.execute(text("LOCK TABLE clients"))
        yield


@pytest.mark.own_database
def test_a_server_that_says_nothing_is_given_up(app, operator, held, in_time):
    response = app.test_client().post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert (response.status_code, response.json["error"]["code"]) == (503, "database_unavailable")


@pytest.mark.own_database
def test_after_a_server_was_given_up_the_next_call_is_served(app, operator, in_time):
    with app.app_context(), pytest.raises(Exception, match="PostgreSQL does not answer"):
        db.session.execute(text("SELECT pg_sleep(60)"))

    postgres_timeout.keep(PATIENCE_S)
    response = app.test_client().post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 201


def test_what_answers_in_time_is_not_disturbed(client, operator, in_time):
    postgres_timeout.keep(PATIENCE_S)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 201
