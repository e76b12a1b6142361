"""What runs in hummingbot's process, here in this one, and the agent's end of the connection."""

import contextlib
import json
import os
import signal
import socket
import sys
import threading

import pytest

from pipelabs.agent import hummingbot_child
from pipelabs.agent.hummingbot_child import LaunchError, Source, create_manager, main
from tests.unit.agent.fake_hummingbot import plant

REFERENCE = "pipelabs:acme/okx/main:api_secret"
STOPPED = {"value": None, "error": "A stop keeps this key from being used.", "exit_code": 75}


class Base:
    def __init__(self, password):
        self.password = password


@pytest.fixture
def connect():
    """Return the child's end of a connection, whose other end answers from a dict."""
    threads = []

    def serve(near, answers):
        with near, near.makefile("rw") as stream:
            for line in stream:
                stream.write(json.dumps(answers[json.loads(line)]) + "\n")
                stream.flush()

    def connect(answers):
        near, far = socket.socketpair()
        thread = threading.Thread(target=serve, args=(near, answers))
        thread.start()
        threads.append(thread)
        return far

    yield connect
    for thread in threads:
        thread.join()


@pytest.fixture
def tree(tmp_path):
    tree = plant(tmp_path / "hummingbot")
    (tree / "conf/connectors").mkdir(parents=True)
    (tree / "conf/.password_verification").write_text("pipelabs:HummingBot")
    (tree / "conf/connectors/okx.yml").write_text(f"connector: okx\nokx_secret_key: {REFERENCE}\n")
    return tree


@pytest.fixture
def run(tree, connect, monkeypatch, log):
    """Run the child's main function, and undo what it changes."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.chdir(tree)

    def run(*arguments, answer=None):
        answers = {REFERENCE: answer or {"value": "s-1", "error": None, "exit_code": None}}
        monkeypatch.setenv(hummingbot_child.VARIABLE, str(connect(answers).detach()))
        return main([str(tree), "--v2", str(log), *arguments])

    return run


def test_main_gives_hummingbot_what_its_references_mean(run, log):
    assert run("-f", "done") == 0

    assert log.read_text() == "okx_secret_key=s-1\n"
    assert hummingbot_child.VARIABLE not in os.environ


def test_main_stops_the_strategy_on_sigterm(run, log):
    assert run("-f", "term") == 128 + signal.SIGTERM

    assert log.read_text().splitlines() == ["okx_secret_key=s-1", "stopped"]


def test_main_ends_on_sigterm_although_the_strategy_does_not_stop(run, capsys):
    assert run("-f", "stuck") == 128 + signal.SIGTERM

    err = capsys.readouterr().err
    assert "The strategy did not stop: RuntimeError." in err
    assert "s-1" not in err


def test_main_ends_on_sigterm_before_there_is_a_strategy(run, log):
    assert run("-f", "early") == 128 + signal.SIGTERM

    assert "stopped" not in log.read_text()


def test_main_ends_as_hummingbot_does(run):
    assert run("-f", "broken") == 3
    assert run("-f", "Broken") == 1


def test_main_says_why_a_key_is_not_there(run, log, capsys):
    assert run(answer=STOPPED) == 75

    assert capsys.readouterr().err == "pipelabs-agent: A stop keeps this key from being used.\n"
    assert not log.exists()


def test_main_rejects_a_key_that_is_encrypted_with_a_password(run, tree, capsys):
    (tree / "conf/connectors/okx.yml").write_text("connector: okx\nokx_secret_key: 7b2263\n")

    assert run() == 78

    err = capsys.readouterr().err
    assert "okx_secret_key of a connector is not a reference" in err
    assert "okx_secret_key: pipelabs:CLIENT/EXCHANGE/LABEL:CREDENTIAL" in err
    assert "7b2263" not in err


def test_main_rejects_a_password(run, capsys):
    assert run("-p", "secret") == 78

    err = capsys.readouterr().err
    assert "Leave the password out" in err
    assert "secret" not in err


def test_main_says_in_a_sentence_that_hummingbot_can_not_be_imported(run, tree, capsys):
    crypt = tree / "hummingbot/client/config/config_crypt.py"
    for text in ("import no_such_module", "BaseSecretManager = object"):
        crypt.write_text(text)
        assert run() == 78
        err = capsys.readouterr().err
        assert err.startswith("pipelabs-agent: hummingbot can't be imported from ")
        assert err.count("\n") == 1
        del sys.modules["bin.hummingbot_quickstart"]
        sys.modules.pop("hummingbot.client.config.config_crypt", None)


def test_source_says_that_the_agent_has_ended():
    near, far = socket.socketpair()
    near.close()
    with (
        far,
        contextlib.closing(Source(far)) as source,
        pytest.raises(LaunchError, match="The agent has ended") as raised,
    ):
        source.resolve(REFERENCE)
    assert raised.value.exit_code == 75


@pytest.fixture
def manager(connect):
    answers = {
        REFERENCE: {"value": "s-1", "error": None, "exit_code": None},
        "pipelabs:acme/okx/old:api_key": STOPPED,
    }
    with connect(answers) as far, contextlib.closing(Source(far)) as source:
        yield create_manager(Base, source)


def test_manager_decrypts_references_only(manager):
    assert manager.decrypt_secret_value(attr="okx_secret_key", value=REFERENCE) == "s-1"
    assert manager.decrypt_secret_value("HummingBot", "7b2263") == "HummingBot"
    with pytest.raises(LaunchError, match="A stop keeps this key"):
        manager.decrypt_secret_value("okx_api_key", "pipelabs:acme/okx/old:api_key")
    with pytest.raises(LaunchError, match="not a reference"):
        manager.decrypt_secret_value("okx_api_key", "7b2263")


def test_manager_encrypts_no_secret_and_says_what_to_write_instead(manager):
    assert manager.encrypt_secret_value("okx_secret_key", REFERENCE) == REFERENCE
    assert manager.encrypt_secret_value("api_key", "") == ""
    assert manager.encrypt_secret_value("HummingBot", "HummingBot") == "pipelabs:HummingBot"
    with pytest.raises(LaunchError, match="write okx_secret_key: pipelabs:CLIENT") as raised:
        manager.encrypt_secret_value("okx_secret_key", "s-1")
    assert "s-1" not in str(raised.value)


def test_manager_has_no_password_and_shows_no_secret(manager):
    manager.decrypt_secret_value("okx_secret_key", REFERENCE)

    assert manager.password == ""
    assert "s-1" not in repr(manager) + repr(vars(manager))
