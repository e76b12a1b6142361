import json

import pytest

from pipelabs.agent.environment import build_environment
from pipelabs.agent.errors import SetupError
from pipelabs.agent.keys import Credentials, Key


def make_key(exchange="okx", label="main", *, is_testnet=False):
    return Key("key-1", "client-1", "acme", exchange, label, is_testnet)


def hold(key, **values):
    return key, Credentials(values or {"api_key": "k", "api_secret": "s", "passphrase": "p"})


def test_build_environment_for_freqtrade_sets_its_configuration():
    held = hold(make_key("hyperliquid"), private_key="pk", wallet_address="w")

    assert build_environment("freqtrade", [hold(make_key())]) == {
        "FREQTRADE__EXCHANGE__NAME": "okx",
        "FREQTRADE__EXCHANGE__KEY": "k",
        "FREQTRADE__EXCHANGE__SECRET": "s",
        "FREQTRADE__EXCHANGE__PASSWORD": "p",
    }
    assert build_environment("freqtrade", [held]) == {
        "FREQTRADE__EXCHANGE__NAME": "hyperliquid",
        "FREQTRADE__EXCHANGE__PRIVATE_KEY": "pk",
        "FREQTRADE__EXCHANGE__WALLET_ADDRESS": "w",
    }


def test_build_environment_for_freqtrade_rejects_two_keys():
    keys = [hold(make_key()), hold(make_key("bybit"))]

    with pytest.raises(SetupError, match=r"one key, not 2: acme/okx/main, acme/bybit/main"):
        build_environment("freqtrade", keys)


def test_build_environment_for_nautilus_names_exchange_and_testnet():
    held = [
        hold(make_key()),
        hold(make_key("bybit", is_testnet=True), api_key="bk", api_secret="bs"),
        hold(make_key("hyperliquid"), private_key="pk"),
    ]

    assert build_environment("nautilus", held) == {
        "OKX_API_KEY": "k",
        "OKX_API_SECRET": "s",
        "OKX_API_PASSPHRASE": "p",
        "BYBIT_TESTNET_API_KEY": "bk",
        "BYBIT_TESTNET_API_SECRET": "bs",
        "HYPERLIQUID_PK": "pk",
    }


def test_build_environment_rejects_two_keys_with_one_name():
    with pytest.raises(SetupError, match="Two keys would set OKX_API_KEY"):
        build_environment("nautilus", [hold(make_key()), hold(make_key(label="hedge"))])


def test_build_environment_for_ccxt_names_exchange_and_label():
    assert build_environment("ccxt", [hold(make_key(label="main-2 x"))]) == {
        "OKX_MAIN_2_X_APIKEY": "k",
        "OKX_MAIN_2_X_SECRET": "s",
        "OKX_MAIN_2_X_PASSWORD": "p",
    }


def test_build_environment_as_json_has_every_key():
    environment = build_environment("json", [hold(make_key())])

    assert json.loads(environment["PIPELABS_KEYS"]) == [
        {
            "key_id": "key-1",
            "client_id": "client-1",
            "client": "acme",
            "exchange": "okx",
            "label": "main",
            "is_testnet": False,
            "credentials": {"api_key": "k", "api_secret": "s", "passphrase": "p"},
        }
    ]
