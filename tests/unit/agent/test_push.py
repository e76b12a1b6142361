import os
import pty
import signal

import pytest

from pipelabs.agent import push as pushes
from pipelabs.agent.agent import Agent
from pipelabs.agent.client import Client
from pipelabs.agent.commands import main
from pipelabs.agent.errors import AgentError, SetupError
from pipelabs.agent.push import HummingbotAPI, Login, Push, confirm, read_login
from tests.unit.agent.stub_hummingbot_api import LOGIN, StubHummingbotAPI

YES = "--yes-it-cannot-be-recalled"
OKX = {"okx_api_key": "k-1", "okx_secret_key": "s-1", "okx_passphrase": "p-1"}
PLACE = ("master", "okx")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(pushes, "RETRY_S", 0.01)
    monkeypatch.setenv("HUMMINGBOT_API_USER", "admin")
    monkeypatch.setenv("HUMMINGBOT_API_PASSWORD", "correct")


@pytest.fixture
def api():
    api = StubHummingbotAPI()
    yield api
    api.close()


@pytest.fixture
def key(service):
    return service.add_key(delivery="push")


@pytest.fixture
def push(path, api, key):
    """Run the command line in this process; return its exit status."""

    def push(*options):
        arguments = ["hummingbot-api", api.url, "--key", key.name, "--account", "master"]
        return main(["push", "--identity", str(path), *arguments, *options])

    return push


def interrupt():
    os.kill(os.getpid(), signal.SIGTERM)


def test_push_stores_the_key_until_it_ends(push, api, service, key, when, capsys):
    seen = []

    def end():
        seen.append(dict(api.stored))
        interrupt()

    when(lambda: PLACE in api.stored, end)

    assert push(YES) == 0

    assert seen == [{PLACE: OKX}]
    assert api.stored == {}
    assert api.requests == [
        "/accounts/add-credential/master/okx",
        "/accounts/delete-credential/master/okx",
    ]
    assert service.acked == [key.lease_id]
    err = capsys.readouterr().err
    assert "CANNOT BE RECALLED" in err
    assert "The copy in hummingbot-api was deleted. What remains: copies of bots" in err
    for secret in ("k-1", "s-1", "p-1", "correct"):
        assert secret not in err


def test_push_deletes_the_copy_of_a_stopped_key_and_acknowledges(
    push, api, service, key, when, capsys
):
    when(lambda: PLACE in api.stored, lambda: service.stop(key))

    assert push(YES, "--connector", "okx") == 75

    assert api.stored == {}
    assert service.acked == [key.lease_id]
    assert "Deleting the copy. acme/okx/main: The service has ended" in capsys.readouterr().err


def test_push_tries_again_to_delete_the_copy_of_a_stopped_key(push, api, service, key, when):
    def stop():
        api.fail(500, 500)
        service.stop(key)

    when(lambda: PLACE in api.stored, stop)

    assert push(YES) == 75
    assert api.stored == {}
    assert service.acked == [key.lease_id]


def test_push_acknowledges_no_stop_while_the_copy_remains(push, api, service, key, when, capsys):
    def stop():
        api.fail_forever(500)
        service.stop(key)

    when(lambda: PLACE in api.stored, stop)
    when(lambda: len(api.requests) >= 4, interrupt)

    assert push(YES) == 75

    assert PLACE in api.stored
    assert service.acks == []
    err = capsys.readouterr().err
    assert "hummingbot-api answered 500 to delete-credential. Its log says why." in err
    assert "The copy remains in hummingbot-api, and the lease is not acknowledged." in err
    assert "Delete the credentials of okx in the account master there" in err


def test_push_gives_no_lease_back_while_the_copy_remains(push, api, service, key, when):
    when(lambda: PLACE in api.stored, lambda: (api.fail_forever(500), interrupt()))

    assert push(YES) == 75
    assert PLACE in api.stored
    assert service.acks == []


def test_push_replaces_the_copy_of_a_replaced_key(push, api, service, key, when):
    def replace():
        api.fail(500)
        new = service.replace(key, delivery="push")
        service.wait_for_ack(key)
        assert api.stored[PLACE]["okx_secret_key"] == "s-1-new"
        assert new.lease_id not in service.acked
        interrupt()

    when(lambda: PLACE in api.stored, replace)

    assert push(YES) == 0
    assert api.stored == {}
    assert service.keys[1].lease_id in service.acked


def test_push_deletes_nothing_if_nothing_was_stored(push, api, service, key, capsys):
    api.stored[PLACE] = {"okx_api_key": "the user's own"}
    api.fail(400)

    assert push(YES) == 75

    assert api.stored[PLACE] == {"okx_api_key": "the user's own"}
    assert service.acked == [key.lease_id]
    err = capsys.readouterr().err
    assert "hummingbot-api answered 400 to add-credential. Its log says why." in err
    assert "s-1" not in err


def test_push_deletes_what_may_have_been_stored(push, api, service, key):
    api.fail(502)

    assert push(YES) == 75
    assert len(api.requests) == 2
    assert service.acked == [key.lease_id]


def test_push_deletes_what_an_earlier_process_has_left_of_a_stopped_key(push, api, service, key):
    api.stored[PLACE] = OKX
    key.denial = "stopped"

    assert push(YES) == 75
    assert api.stored == {}


def test_push_deletes_nothing_of_a_key_that_is_only_denied(push, api, service, key):
    api.stored[PLACE] = OKX
    key.denial = "held_elsewhere"

    assert push(YES) == 75
    assert api.requests == []


def test_push_rejects_keys_that_may_not_be_pushed(push, api, service, key, capsys):
    key.delivery = "hummingbot"

    assert push(YES) == 75

    err = capsys.readouterr().err
    assert "The grant does not say that this key may be pushed." in err
    assert api.requests == []
    assert service.acked == [key.lease_id]


def test_push_rejects_what_can_not_be_pushed(push, path, api, key, capsys, monkeypatch):
    for options, message in (
        (["--connector", "kraken"], "No key that is leased is for the connector kraken"),
        (["--account", "../x"], "An account's name has only letters"),
    ):
        assert push(YES, *options) == 78
        assert message in capsys.readouterr().err
    monkeypatch.delenv("HUMMINGBOT_API_PASSWORD")
    assert push(YES) == 78
    assert "Set $HUMMINGBOT_API_USER and $HUMMINGBOT_API_PASSWORD" in capsys.readouterr().err
    assert api.requests == []


def test_push_calls_other_hosts_by_https_only():
    with pytest.raises(SetupError, match="It is https://"):
        HummingbotAPI("http://192.0.2.1:8000", "master", Login("admin", "correct"))


def test_push_says_that_hummingbot_api_can_not_be_reached(push, api, key, capsys):
    api.close()

    assert push(YES) == 75
    err = capsys.readouterr().err
    assert "hummingbot-api can't be reached: ConnectionRefusedError." in err


def test_push_asks_unless_it_was_told(push, api, key, monkeypatch, capsys):
    assert push() == 78
    assert "Nothing was pushed. Add --yes-it-cannot-be-recalled." in capsys.readouterr().err
    assert api.requests == []


@pytest.mark.parametrize(("answer", "is_confirmed"), [(b"yes\n", True), (b"y\n", False)])
def test_confirm_asks_for_a_yes(monkeypatch, capsys, answer, is_confirmed):
    parent, child = pty.openpty()
    with os.fdopen(parent, "wb", buffering=0) as keyboard, os.fdopen(child) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        keyboard.write(answer)
        if is_confirmed:
            confirm(is_confirmed=False)
        else:
            with pytest.raises(SetupError, match=r"Nothing was pushed\."):
                confirm(is_confirmed=False)
    assert "Type yes to push it: " in capsys.readouterr().err


def test_read_login_takes_a_file_that_nobody_else_can_read(tmp_path):
    file = tmp_path / "login"
    file.write_text(LOGIN + "\n")
    with pytest.raises(SetupError, match="Other users can read"):
        read_login(str(file))
    file.chmod(0o600)

    assert read_login(str(file)) == Login("admin", "correct")
    assert "correct" not in repr(read_login(str(file)))
    with pytest.raises(SetupError, match="can't be read"):
        read_login(str(tmp_path / "none"))


@pytest.fixture
def pushed(identity, api, key):
    """A push whose threads do not run."""
    client = HummingbotAPI(api.url, "master", Login("admin", "correct"))
    with Agent(Client(identity), is_push=True) as agent:
        agent.open()
        yield Push(agent, agent.limit_to_granted()[0], client, None)
    client.close()


def test_rotate_gives_up_when_the_program_ends(pushed, api, monkeypatch):
    pushed._store()
    api.fail(500)
    monkeypatch.setattr(pushes, "tell", lambda text: "still" in text and pushed._ended.set())

    with pytest.raises(AgentError, match="The copy is still the old one"):
        pushed.rotate(pushed._key)
    with pytest.raises(AgentError, match="Nothing is pushed any more"):
        pushed.rotate(pushed._key)
    assert pushed._clear()
    assert api.stored == {}


def test_clear_deletes_nothing_twice(pushed, api):
    pushed._store()

    assert pushed._clear()
    assert pushed._clear()
    assert len(api.requests) == 2
