"""A service on this host, and an identity that is enrolled there."""

import io
import os
import signal
import threading
from contextlib import redirect_stdout

import pytest

from pipelabs.agent import agent as agents
from pipelabs.agent.client import Client
from pipelabs.agent.commands import main
from pipelabs.agent.identity import load_identity
from tests.unit.agent.stub_service import DEADLINE_S, StubService


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PIPELABS_AGENT_IDENTITY", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(agents, "POLL_S", 0.02)
    monkeypatch.setattr(agents, "RETRY_S", 0.01)


@pytest.fixture
def service():
    service = StubService()
    yield service
    service.close()


@pytest.fixture
def path(service, tmp_path):
    path = tmp_path / "identity.json"
    with redirect_stdout(io.StringIO()):
        assert main(["enroll", "--identity", str(path), service.url, "ple_code"]) == 0
    return path


@pytest.fixture
def identity(path):
    return load_identity(path)


@pytest.fixture
def client(identity):
    client = Client(identity)
    yield client
    client.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def when():
    """Do something in another thread once a condition is true."""
    threads, failures = [], []

    def watch(condition, action):
        try:
            for _ in range(DEADLINE_S * 100):
                if condition():
                    return action()
                threading.Event().wait(0.01)
            raise AssertionError("the condition has not become true")
        except BaseException as error:
            failures.append(error)
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    def when(condition, action):
        thread = threading.Thread(target=watch, args=(condition, action))
        threads.append(thread)
        thread.start()

    yield when
    for thread in threads:
        thread.join()
    assert not failures


@pytest.fixture
def later(when, service, log):
    """Do something in another thread once the log has that many lines."""

    def later(count, action):
        when(lambda: log.exists() and log.read_text().count("\n") >= count, action)

    return later


@pytest.fixture
def make_agent(client, clock):
    """Return an open agent without threads, whose turns a test takes."""
    opened = []

    def make(*only):
        agent = agents.Agent(client, only=only, clock=clock)
        opened.append(agent)
        agent.open()
        return agent

    yield make
    for agent in opened:
        agent.close()
