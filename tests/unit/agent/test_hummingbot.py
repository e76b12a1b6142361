import os
import signal
import sys
from pathlib import Path

import pytest

from pipelabs.agent import hummingbot_child
from pipelabs.agent.agent import Agent
from pipelabs.agent.client import Client
from pipelabs.agent.commands import main
from pipelabs.agent.connectors import find_connector
from pipelabs.agent.engine import Plan
from pipelabs.agent.errors import SetupError
from pipelabs.agent.hummingbot import Hummingbot, write_references
from pipelabs.agent.keys import Key
from tests.unit.agent.fake_hummingbot import plant

OKX = "okx_api_key=k-1 okx_secret_key=s-1 okx_passphrase=p-1"


@pytest.fixture
def tree(tmp_path):
    return plant(tmp_path / "hummingbot")


@pytest.fixture
def run(path, tree, log):
    """Run the command line in this process, and hummingbot as its child."""

    def run(*arguments, options=()):
        command = ["hummingbot", "--identity", str(path), "--hummingbot-dir", str(tree), *options]
        return main([*command, "--", "--v2", str(log), *arguments])

    return run


def read_files(tree):
    return {path: path.read_text() for path in (tree / "conf").rglob("*") if path.is_file()}


def test_hummingbot_gets_its_keys_and_stores_references_only(run, service, tree, log):
    okx = service.add_key()
    gate = service.add_key(exchange="gate", credentials={"api_key": "k-2", "api_secret": "s-2"})

    assert run("-f", "done") == 0

    assert log.read_text() == f"gate_io_api_key=k-2 gate_io_secret_key=s-2 {OKX}\n"
    files = read_files(tree)
    assert files[tree / "conf/connectors/okx.yml"].splitlines()[1:] == [
        'connector: "okx"',
        'okx_api_key: "pipelabs:acme/okx/main:api_key"',
        'okx_secret_key: "pipelabs:acme/okx/main:api_secret"',
        'okx_passphrase: "pipelabs:acme/okx/main:passphrase"',
    ]
    for secret in ("k-1", "s-1", "p-1", "k-2", "s-2"):
        assert all(secret not in text for text in files.values())
    assert set(service.acked) == {okx.lease_id, gate.lease_id}


def test_hummingbot_keeps_files_that_refer_to_its_keys(run, service, tree, log):
    service.add_key()
    assert run("-f", "done") == 0
    file = tree / "conf/connectors/okx.yml"
    file.write_text(file.read_text() + "okx_registration_sub_domain: app\n")
    files = read_files(tree)

    assert run("-f", "done") == 0

    assert log.read_text() == f"{OKX}\n{OKX}\n"
    assert read_files(tree) == files


def test_hummingbot_uses_a_connector_that_is_named(run, service, log):
    service.add_key()

    assert run("-f", "done", options=["--connector", "okx_perpetual"]) == 0
    assert log.read_text().startswith("okx_perpetual_api_key=k-1 ")


def test_hummingbot_may_be_named_before_its_arguments(path, service, tree, log, monkeypatch):
    service.add_key()
    monkeypatch.chdir(tree)
    quickstart = ["bin/hummingbot_quickstart.py", "--v2", str(log), "-f", "done"]

    assert main(["hummingbot", "--identity", str(path), "--", *quickstart]) == 0
    assert main(["hummingbot", "--identity", str(path)]) == 1
    assert log.read_text() == f"{OKX}\n"


def test_hummingbot_stops_its_strategy_before_the_stop_is_acknowledged(run, service, later, log):
    key = service.add_key()
    later(1, lambda: service.stop(key))

    assert run(options=["--key", key.name]) == 75

    assert log.read_text().splitlines() == [OKX, "stopped"]
    assert service.acked == [key.lease_id]


def test_hummingbot_is_restarted_with_a_replacement(run, service, later, log):
    old = service.add_key()
    later(1, lambda: service.replace(old))

    def end():
        service.wait_for_ack(old)
        os.kill(os.getpid(), signal.SIGTERM)

    later(3, end)

    assert run() == 128 + signal.SIGTERM
    first, stopped, second, _ = log.read_text().splitlines()
    assert (first, stopped) == (OKX, "stopped")
    assert second == "okx_api_key=k-1-new okx_secret_key=s-1-new okx_passphrase=p-1-new"


def test_hummingbot_does_not_start_without_its_key(run, service, log, capsys):
    service.add_key(denial="stopped")

    assert run() == 75

    assert "A stop keeps this key from being used." in capsys.readouterr().err
    assert not log.exists()


def test_hummingbot_says_in_a_sentence_what_is_missing(run, path, service, tree, capfd):
    service.add_key()
    arguments = ["hummingbot", "--identity", str(path)]

    assert main([*arguments, "--hummingbot-dir", str(tree / "conf")]) == 78
    assert "hummingbot can't be imported" in capfd.readouterr().err
    assert run(options=["--python", "/no/such"]) == 78
    assert "/no/such can't be started" in capfd.readouterr().err


def make_key(client="acme"):
    return Key("key-1", "client-1", client, "okx", "main", is_testnet=False)


def test_write_references_keeps_what_is_not_a_reference_to_the_key(tmp_path):
    file = tmp_path / "okx.yml"
    for value in ("7b2263", '"7b2263', r'"\x41"', "", "pipelabs:acme/okx/hedge:api_key"):
        file.write_text(f"connector: okx\nokx_api_key: {value}\n")
        with pytest.raises(SetupError) as raised:
            write_references(tmp_path, find_connector("okx"), make_key())
        message = str(raised.value)
        assert 'does not say okx_api_key: "pipelabs:acme/okx/main:api_key" Write this' in message
        assert "7b2263" not in message
        assert value in file.read_text()


def test_write_references_understands_how_a_file_was_written(tmp_path):
    key = make_key('o\'neill: "é" #1')
    reference = f"pipelabs:{key.name}"
    quoted = f"{reference}:passphrase".replace("'", "''")
    double = f"{reference}:api_key".replace('"', '\\"')
    text = (
        "# comment\n\nconnector: okx  # comment\n"
        f"okx_passphrase: '{quoted}'  # comment\nokx_api_key: \"{double}\"\n"
    )
    (tmp_path / "okx.yml").write_text(text)
    with pytest.raises(SetupError, match="does not say okx_secret_key"):
        write_references(tmp_path, find_connector("okx"), key)
    line = str(f"{reference}:api_secret").replace('"', '\\"')
    (tmp_path / "okx.yml").write_text(f'{text}okx_secret_key: "{line}"\n')

    write_references(tmp_path, find_connector("okx"), key)


def test_write_references_says_what_can_not_be_read_or_written(tmp_path):
    (tmp_path / "conf").write_text("")

    with pytest.raises(SetupError, match=r"okx\.yml can't be written: Not a directory"):
        write_references(tmp_path / "conf/connectors", find_connector("okx"), make_key())
    with pytest.raises(SetupError, match=r"okx\.yml can't be read"):
        write_references(tmp_path / "conf", find_connector("okx"), make_key())


@pytest.fixture
def hummingbot(identity, service):
    """Hummingbot with a key, whose process does not run."""
    service.add_key()
    with Agent(Client(identity)) as agent:
        agent.open()
        yield Hummingbot(agent, agent.limit_to_granted(), Plan([sys.executable], ""))


def test_answer_is_a_credential_of_the_current_lease(hummingbot, service):
    assert hummingbot._answer("pipelabs:ACME/okx/main:api_secret")["value"] == "s-1"

    service.replace(service.keys[0])
    hummingbot._agent.turn()
    assert hummingbot._answer("pipelabs:acme/okx/main:api_secret")["value"] == "s-1-new"

    service.stop(service.keys[1])
    hummingbot._agent.turn()
    answer = hummingbot._answer("pipelabs:acme/okx/main:api_secret")
    assert answer["value"] is None
    assert (answer["error"], answer["exit_code"]) == (
        "A stop keeps this key from being used. (stopped)",
        75,
    )


def test_answer_says_what_is_wrong_with_a_reference(hummingbot):
    for reference, message in (
        ("pipelabs:acme/okx/hedge:api_key", "is about no key that hummingbot has: acme/okx/main."),
        ("pipelabs:", "is about no key"),
        ("pipelabs:acme/okx/main:secret", "acme/okx/main has no secret: it has api_key, api_s"),
    ):
        answer = hummingbot._answer(reference)
        assert message in answer["error"]
        assert (answer["value"], answer["exit_code"]) == (None, 78)


def test_hummingbots_process_needs_nothing_that_is_installed():
    text = Path(hummingbot_child.__file__).read_text()

    lines = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert {line.split()[1].partition(".")[0] for line in lines} <= sys.stdlib_module_names
