import sys

import pytest

from dev import agent, quoter
from dev.errors import CannotStart
from tests.each import each

STUB = "http://127.0.0.1:9100"


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Return the file in which make run stores the address of its stub."""
    monkeypatch.delenv("EXCHANGE_BASE_URL", raising=False)
    monkeypatch.setattr(quoter, "STUB_ADDRESS", tmp_path / "stub_exchange.url")
    return tmp_path / "stub_exchange.url"


def test_quoter_finds_the_stub_of_make_run(address, monkeypatch):
    address.write_text(STUB)
    assert quoter.find_stub() == STUB

    monkeypatch.setenv("EXCHANGE_BASE_URL", "http://127.0.0.1:9200")
    assert quoter.find_stub() == "http://127.0.0.1:9200"


@each("text", ["", "https://www.okx.com", "http://127.0.0.1:1@evil.example", "http://127.0.0.1"])
def test_quoter_trades_on_no_other_exchange(address, text):
    address.write_text(text)

    with pytest.raises(CannotStart, match="make run"):
        quoter.find_stub()


def test_quoter_does_not_start_without_a_stub(address):
    with pytest.raises(CannotStart, match="make run"):
        quoter.find_stub()


def test_agent_of_the_checkout_is_loaded_without_the_service(tmp_path, monkeypatch):
    monkeypatch.setenv(agent.IDENTITY, str(tmp_path / "identity.json"))
    monkeypatch.delitem(sys.modules, agent.NAME, raising=False)
    before = set(sys.modules)

    loaded = agent.load()

    assert issubclass(loaded.Stopped, loaded.AgentError)
    assert not {
        name for name in set(sys.modules) - before if name.startswith(("flask", "pipelabs."))
    }
    for name in set(sys.modules) - before:
        monkeypatch.delitem(sys.modules, name)
