import pytest

from pipelabs.agent.connectors import CONNECTORS, choose_connectors
from pipelabs.agent.errors import SetupError
from pipelabs.agent.keys import Credentials, Key


def make_key(exchange="okx", label="main", *, is_testnet=False):
    return Key(f"{exchange}-{label}", "client-1", "acme", exchange, label, is_testnet)


def list_names(keys, *names):
    return [(connector.name, key.exchange) for connector, key in choose_connectors(keys, names)]


def test_choose_connectors_takes_the_one_for_spot_unless_others_are_named():
    okx, gate = make_key(), make_key("gate")

    assert list_names([okx, gate]) == [("okx", "okx"), ("gate_io", "gate")]
    assert list_names([okx, gate], "okx_perpetual") == [
        ("okx_perpetual", "okx"),
        ("gate_io", "gate"),
    ]
    assert list_names([okx], "okx_perpetual", "okx") == [("okx_perpetual", "okx"), ("okx", "okx")]


def test_choose_connectors_takes_that_of_the_testnet_for_its_keys():
    assert list_names([make_key("bybit", is_testnet=True)]) == [("bybit_testnet", "bybit")]


def test_choose_connectors_rejects_what_can_not_be_used():
    for keys, names, message in (
        ([make_key()], ["okex"], "okex is not a connector that is known here. Known are: backpack"),
        ([make_key()], ["kraken"], "No key that is leased is for the connector kraken."),
        ([make_key("upbit")], [], "No connector of hummingbot is known here for upbit."),
        ([make_key("okx", is_testnet=True)], [], "known here for the testnet of okx."),
        ([make_key(), make_key(label="hedge")], [], "Two keys are for the connector okx."),
    ):
        with pytest.raises(SetupError, match=message):
            choose_connectors(keys, names)


def test_connectors_have_each_name_and_field_once():
    names = [connector.name for connector in CONNECTORS]

    assert len(set(names)) == len(names)
    for connector in CONNECTORS:
        assert len(set(connector.fields.values())) == len(connector.fields)
        assert connector.is_testnet == connector.name.endswith("_testnet")


def test_connector_fills_its_fields_or_says_what_is_missing():
    okx, key = choose_connectors([make_key()], [])[0]
    credentials = Credentials({"api_key": "k", "api_secret": "s", "passphrase": "p"})

    assert okx.fill(key, credentials) == {
        "okx_api_key": "k",
        "okx_secret_key": "s",
        "okx_passphrase": "p",
    }
    with pytest.raises(SetupError, match="acme/okx/main has no passphrase, which okx needs"):
        okx.fill(key, Credentials({"api_key": "k", "api_secret": "s"}))


def test_connectors_of_hyperliquid_take_its_wallet():
    hyperliquid, _ = choose_connectors([make_key("hyperliquid")], [])[0]

    assert hyperliquid.fields == {
        "private_key": "hyperliquid_secret_key",
        "wallet_address": "hyperliquid_address",
    }
