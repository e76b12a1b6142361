import pickle
import ssl
from typing import Any

import pytest

from pipelabs.agent import client as clients
from pipelabs.agent.client import Client, Connection, is_loopback
from pipelabs.agent.errors import Denied, SetupError, Unreachable
from pipelabs.agent.keys import Credentials
from tests.unit.agent.stub_service import error


def test_connection_accepts_only_origins_with_tls_or_on_this_host():
    for url in ("https://desk.example", "https://desk.example:8443/", "http://localhost:5000"):
        Connection(url).close()

    for url in (
        "http://desk.example",
        "https://desk.example/path",
        "https://desk.example?query",
        "https://desk.example#part",
        "https://user@desk.example",
        "https://desk.example:port",
        "https://",
        "ftp://localhost",
        "desk.example",
    ):
        with pytest.raises(SetupError, match="is not the address of a service"):
            Connection(url)


def test_connection_verifies_tls():
    connection: Any = Connection("https://desk.example")._connection

    assert connection._context.verify_mode is ssl.CERT_REQUIRED
    assert connection._context.check_hostname


def test_is_loopback_knows_this_host():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("desk.example", "10.0.0.1", "::2", "localhost.example")))


def test_client_asks_over_one_connection(client, service):
    before = service.connections

    client.ask_state(0)
    client.ask_state(0)

    assert service.connections == before + 1


def test_client_sends_a_request_again_when_a_kept_connection_was_closed(client, service):
    client.ask_state(0)
    service.script("drop")

    assert client.ask_state(0).epoch == service.epoch
    assert service.count("/state") == 3


def test_client_raises_when_the_service_is_away(client, service):
    service.script("drop")

    with pytest.raises(Unreachable, match="can't be reached: RemoteDisconnected"):
        client.ask_state(0)
    client.ask_state(0)
    service.script("drop", "drop")
    with pytest.raises(Unreachable):
        client.ask_state(0)


def test_client_raises_when_the_service_does_not_answer_in_time(identity, service):
    client = Client(identity, timeout_s=0.1)
    service.script("freeze")

    with pytest.raises(Unreachable, match="can't be reached"):
        client.ask_state(0)
    client.close()


def test_client_raises_for_answers_that_it_does_not_understand(client, service, monkeypatch):
    machine = {"id": "1", "name": "n", "status": "active", "fingerprint": "f"}
    state = {"machine": machine, "epoch": 1, "server_time": "2026-11-26T10:00:00Z", "leases": []}
    documents: tuple[Any, ...] = (
        b"<html>",
        b"[]",
        {},
        state | {"machine": machine | {"status": None}},
        state | {"epoch": "x"},
        state | {"server_time": "noon"},
        state | {"leases": 1},
        state | {"leases": [{"id": 1}]},
    )
    for document in documents:
        service.script((200, document))
        with pytest.raises(Unreachable, match="is not understood"):
            client.ask_state(0)
    monkeypatch.setattr(clients, "MAX_BYTES", 10)
    with pytest.raises(Unreachable, match="too long"):
        client.ask_state(0)


@pytest.mark.parametrize("status", [301, 400, 429, 500, 503])
def test_client_raises_unreachable_for_failures_of_one_call(client, service, status):
    service.script((status, b""))

    with pytest.raises(Unreachable, match=f"answered {status}") as raised:
        client.ask_state(0)
    assert raised.value.status == status


def test_client_raises_denied_with_code_and_sentence(client, service):
    service.script(error(403, "machine_address", "Not from here."), (401, {"error": "odd"}))

    with pytest.raises(Denied, match=r"Not from here. \(machine_address\)"):
        client.ask_state(0)
    with pytest.raises(Denied, match="http_401"):
        client.ask_state(0)


@pytest.mark.parametrize("skew_s", [-7200, -60, 60, 7200])
def test_client_corrects_its_clock_once_and_tries_again(client, service, skew_s):
    service.skew_s = skew_s

    client.ask_state(0)
    client.ask_state(0)

    assert service.count("/state") == 3


def test_client_gives_up_when_the_second_try_is_late_too(client, service):
    service.script(error(401, "machine_late"), error(401, "machine_late", skew_s=-1))

    with pytest.raises(Unreachable, match="machine_late"):
        client.ask_state(0)


def test_client_sends_a_replayed_request_again_with_a_new_number(client, service):
    service.script(error(401, "machine_replayed"))

    client.ask_state(0)

    assert service.count("/state") == 2
    numbers = [int(jti.partition(".")[2]) for jti in service.jtis]
    assert numbers == [2]


def test_credentials_show_their_names_only_and_cannot_be_pickled():
    credentials = Credentials({"api_key": "abc"})

    assert repr(credentials) == "<Credentials: api_key>"
    assert (dict(credentials), len(credentials)) == ({"api_key": "abc"}, 1)
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(credentials)
