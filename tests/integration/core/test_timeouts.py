import pytest
from sqlalchemy import NullPool, create_engine, text

from pipelabs.core import connections
from pipelabs.core.db import db
from tests.factories import QUICK_CLIENT, make_body
from tests.waiting import TIMEOUT_S


@pytest.fixture
def short_timeout():
    connections.install_timeout(0.5)
    yield
    connections.uninstall_timeout()


@pytest.fixture
def locked_clients(urls):
    """Lock the clients table as the owner, whose connections have no timeouts."""
    with create_engine(urls["owner"], poolclass=NullPool).begin() as connection:
        connection.execute(text("LOCK TABLE clients"))
        yield


@pytest.mark.own_database
def test_timeout_turns_an_unresponsive_server_into_503(
    app, operator, locked_clients, short_timeout
):
    response = app.test_client().post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert (response.status_code, response.json["error"]["code"]) == (503, "database_unavailable")


@pytest.mark.own_database
def test_request_after_a_timeout_succeeds(app, operator, short_timeout):
    with app.app_context(), pytest.raises(Exception, match="PostgreSQL does not answer"):
        db.session.execute(text("SELECT pg_sleep(60)"))

    connections.install_timeout(TIMEOUT_S)
    response = app.test_client().post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 201


def test_timeout_does_not_affect_fast_calls(client, operator, short_timeout):
    connections.install_timeout(TIMEOUT_S)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert response.status_code == 201
