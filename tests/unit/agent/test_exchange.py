import gc
import sys
import types

import pytest

from pipelabs.agent.errors import SetupError, Stopped


class StubExchange:
    apiKey = secret = password = ""  # noqa: N815 - as ccxt names it

    def __init__(self, config):
        self.is_sandbox = False
        for name, value in config.items():
            setattr(self, name, value)

    def set_sandbox_mode(self, enabled):
        self.is_sandbox = enabled

    def check_required_credentials(self):
        return bool(self.apiKey)

    def sign(self, path, api="public"):
        self.check_required_credentials()
        return path, self.apiKey, self.secret, self.password


@pytest.fixture(autouse=True)
def _ccxt(monkeypatch):
    module = types.SimpleNamespace(okx=StubExchange)
    monkeypatch.setitem(sys.modules, "ccxt", module)


def test_ccxt_signs_with_the_leased_credentials(make_agent, service):
    service.add_key()
    agent = make_agent()

    exchange = agent.ccxt("okx", client="acme", label="main", timeout=5000, apiKey="mine")

    assert exchange.sign("orders") == ("orders", "k-1", "s-1", "p-1")
    assert (exchange.timeout, exchange.is_sandbox) == (5000, False)
    assert exchange.check_required_credentials()


def test_ccxt_uses_the_testnet_of_a_testnet_key(make_agent, service):
    service.add_key(is_testnet=True)

    assert make_agent().ccxt("okx").is_sandbox


def test_ccxt_wipes_the_credentials_and_does_not_sign_once_the_lease_ends(make_agent, service):
    key = service.add_key()
    agent = make_agent()
    exchange = agent.ccxt("okx")

    service.stop(key)
    agent.turn()

    assert (exchange.apiKey, exchange.secret, exchange.password) == ("", "", "")
    for call in (lambda: exchange.sign("orders"), exchange.check_required_credentials):
        with pytest.raises(Stopped, match="A stop keeps this key"):
            call()
    service.resume(key)
    agent.turn()
    assert exchange.sign("orders")[1] == "k-1"


def test_ccxt_does_not_sign_with_a_lease_that_has_expired_unnoticed(make_agent, service, clock):
    service.add_key()
    agent = make_agent()
    exchange = agent.ccxt("okx")

    clock.now += service.hold_s + 1

    with pytest.raises(Stopped, match="expired"):
        exchange.sign("orders")
    assert exchange.secret == ""


def test_ccxt_has_new_credentials_before_the_old_lease_is_acknowledged(make_agent, service):
    old = service.add_key()
    agent = make_agent()
    exchange, dropped = agent.ccxt("okx"), agent.ccxt("okx")
    del dropped
    gc.collect()

    service.replace(old)
    agent.turn()
    assert exchange.sign("orders")[1] == "k-1-new"
    assert service.acks == []
    agent.notify(agent._holdings.changes.get())
    agent.turn()

    assert service.acked == [old.lease_id]


def test_ccxt_raises_if_it_cannot_make_the_exchange(make_agent, service, monkeypatch):
    service.add_key()
    service.add_key(exchange="bitmart")
    agent = make_agent()

    with pytest.raises(SetupError, match="does not know the exchange bitmart"):
        agent.ccxt("bitmart")
    with pytest.raises(SetupError, match=r"one of ccxt, ccxt.async_support, ccxt.pro"):
        agent.ccxt("okx", library="os")
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(SetupError, match="pip install ccxt"):
        agent.ccxt("okx")
