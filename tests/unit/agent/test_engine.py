import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from pipelabs.agent import engine as engines
from pipelabs.agent.agent import Agent
from pipelabs.agent.client import Client
from pipelabs.agent.commands import main
from pipelabs.agent.engine import Engine, Plan
from tests.unit.agent.stub_service import DEADLINE_S

RECORD = """
import os, pathlib, sys
path = pathlib.Path(sys.argv[1])
names = sorted(name for name in os.environ if name.startswith(("OKX_", "PIPELABS_AGENT_")))
line = " ".join(f"{name}={os.environ[name]}" for name in names)
with path.open("a") as file:
    file.write(line + "\\n")
"""
"""Adds its credentials and what a hook gets to a file, as a line."""
WAIT = RECORD + "import time; time.sleep(600)"
IGNORE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT


@pytest.fixture
def execute(path, log):
    """Run the command line in this process; return its exit status."""

    def execute(code, *options):
        command = [sys.executable, "-c", code, str(log)]
        return main(["exec", "--identity", str(path), "--map", "ccxt", *options, "--", *command])

    return execute


def write_hook(tmp_path, code=RECORD):
    script = tmp_path / "hook.py"
    script.write_text(code)
    return f"{sys.executable} {script} {tmp_path / 'hooks'}"


def test_exec_gives_the_credentials_to_the_child_only(execute, service, log, monkeypatch):
    key = service.add_key()
    monkeypatch.setenv("OTHER", "kept")

    status = execute(RECORD + "sys.exit(7 if os.environ['OTHER'] == 'kept' else 1)")

    assert status == 7
    assert log.read_text() == "OKX_MAIN_APIKEY=k-1 OKX_MAIN_PASSWORD=p-1 OKX_MAIN_SECRET=s-1\n"
    assert "OKX_MAIN_APIKEY" not in os.environ
    assert service.acked == [key.lease_id]


def test_exec_does_not_start_without_a_key(execute, service, log, capsys):
    key = service.add_key(denial="stopped")

    assert execute(RECORD, "--key", key.name) == 75

    assert "A stop keeps this key from being used." in capsys.readouterr().err
    assert not log.exists()


@pytest.mark.parametrize("is_linux", [True, False])
def test_exec_reports_a_command_that_cannot_be_started(is_linux, path, service, capfd, monkeypatch):
    monkeypatch.setattr(engines, "IS_LINUX", is_linux)
    key = service.add_key()

    assert main(["exec", "--identity", str(path), "--map", "json", "--", "/no/such"]) == 78

    assert "/no/such can't be started: No such file" in capfd.readouterr().err
    assert service.acked == [key.lease_id]


def test_exec_stops_the_engine_runs_the_hook_and_acknowledges(
    execute, service, log, later, tmp_path, capsys
):
    key = service.add_key()
    later(1, lambda: service.stop(key))

    assert execute(WAIT, "--on-stop", write_hook(tmp_path)) == 75

    told = (tmp_path / "hooks").read_text()
    assert "PIPELABS_AGENT_KEY=acme/okx/main" in told
    assert "PIPELABS_AGENT_REASON=The service has ended the lease." in told
    assert "OKX_" not in told
    assert service.acked == [key.lease_id]
    assert "Stopping the engine. acme/okx/main" in capsys.readouterr().err


def test_exec_kills_an_engine_that_does_not_end_in_time(execute, service, later, tmp_path):
    key = service.add_key()
    later(1, lambda: service.stop(key))
    slow = write_hook(tmp_path, "import time; time.sleep(600)")

    assert execute(IGNORE, "--grace", "0.1", "--on-stop", slow) == 75
    assert service.acked == [key.lease_id]


def test_exec_stops_the_engine_although_the_hook_fails(execute, service, later, tmp_path, capsys):
    key = service.add_key()
    later(1, lambda: service.stop(key))

    assert execute(WAIT, "--on-stop", write_hook(tmp_path, "raise SystemExit(3)")) == 75
    assert "The hook has failed with status 3." in capsys.readouterr().err


def test_exec_stops_the_engine_although_the_hook_cannot_be_started(execute, service, later, capsys):
    key = service.add_key()
    later(1, lambda: service.stop(key))

    assert execute(WAIT, "--on-stop", "/no/such hook") == 75
    assert "The hook can't be started" in capsys.readouterr().err


def test_exec_restarts_the_engine_with_a_replacement(execute, service, log, later):
    old = service.add_key()
    later(1, lambda: service.replace(old))

    def end():
        service.wait_for_ack(old)
        os.kill(os.getpid(), signal.SIGTERM)

    later(2, end)

    assert execute(WAIT) == 128 + signal.SIGTERM
    first, second = log.read_text().splitlines()
    assert "OKX_MAIN_APIKEY=k-1 " in first
    assert "OKX_MAIN_APIKEY=k-1-new " in second
    assert set(service.acked) == {old.lease_id, service.keys[1].lease_id}


def test_exec_moves_the_engine_by_the_hook(execute, service, log, later, tmp_path):
    old = service.add_key()

    def rotate():
        service.replace(old)
        service.wait_for_ack(old)
        os.kill(os.getpid(), signal.SIGINT)

    later(1, rotate)

    assert execute(WAIT, "--on-rotate", write_hook(tmp_path)) in {1, 128 + signal.SIGINT}
    assert len(log.read_text().splitlines()) == 1
    told = (tmp_path / "hooks").read_text()
    assert "OKX_MAIN_APIKEY=k-1-new" in told
    assert "PIPELABS_AGENT_REASON=rotated" in told


def test_exec_forwards_signals(execute, service, later):
    service.add_key()
    code = "import signal; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(9))\nimport sys\n"
    later(1, lambda: os.kill(os.getpid(), signal.SIGUSR1))

    assert execute(code + WAIT) == 9


def test_exec_ends_what_the_engine_has_started(execute, service, log, tmp_path):
    service.add_key()
    child = tmp_path / "child"
    code = RECORD + (
        "import subprocess, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(child.pid))\n"
        "os._exit(0)\n"
    )

    assert execute(code) == 0

    assert is_gone(int(child.read_text()))


def is_gone(pid):
    """Return whether the process has ended or is a zombie, which holds nothing."""
    for _ in range(DEADLINE_S * 100):
        try:
            with Path(f"/proc/{pid}/stat").open() as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        threading.Event().wait(0.01)
    return False


@pytest.fixture
def engine(path, identity, service, log):
    """An engine of two keys whose threads do not run."""
    service.add_key()
    service.add_key(exchange="bybit")
    with Agent(Client(identity)) as agent:
        agent.open()
        plan = Plan([sys.executable, "-c", WAIT, str(log)], "ccxt")
        engine = Engine(agent, agent.limit_to_granted(), plan)
        yield engine
        engine._end()


def test_engine_stops_if_another_key_ends_during_a_rotation(engine, service, capsys):
    [bybit, okx] = engine._keys
    engine._start()
    service.stop(service.keys[1])
    engine._agent.turn()

    engine.rotate(okx)

    assert not engine._is_running()
    assert engine._is_stopped
    assert "Stopping the engine. A stop keeps this key" in capsys.readouterr().err
    engine.rotate(okx)
    engine.stop(bybit, "again")
    assert len(engine._started) == 1


def test_engine_is_not_restarted_after_a_signal(engine):
    engine._start()
    engine._forward(signal.SIGTERM, None)

    engine._move(engine._keys[0])

    assert len(engine._started) == 1


def test_engine_gets_a_signal_that_came_while_it_started(engine):
    engine._forward(signal.SIGTERM, None)

    engine._start()

    assert engine._started[0].wait(DEADLINE_S) == -signal.SIGTERM


def test_exec_rejects_a_key_whose_grant_says_push(execute, service, log, capsys):
    key = service.add_key(delivery="push")

    assert execute(RECORD) == 75

    assert "The grant says that this key is pushed. Use pipelabs-agent push" in (
        capsys.readouterr().err
    )
    assert not log.exists()
    assert service.acked == [key.lease_id]
