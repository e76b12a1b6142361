"""What hummingbot's connectors call their credentials.

Taken from the configuration classes in hummingbot 2.16, hummingbot/connector/*/*/*_utils.py. Those
that need more than Pipe Labs stores are left out, such as gate_io_perpetual and its user id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import SetupError
from .keys import Credentials, Key

API_SECRET, SECRET_KEY = "api_secret", "secret_key"


@dataclass(frozen=True)
class Connector:
    """A connector, the exchange whose keys it uses, and credential → its field's name."""

    name: str
    exchange: str
    fields: Mapping[str, str]
    is_testnet: bool = False

    def matches(self, key: Key) -> bool:
        """Return whether the connector can use the key."""
        return (self.exchange, self.is_testnet) == (key.exchange.casefold(), key.is_testnet)

    def fill(self, key: Key, credentials: Credentials) -> dict[str, str]:
        """Return field → secret; raise `SetupError` if the key lacks a credential."""
        for credential in self.fields:
            if credential not in credentials:
                raise SetupError(f"{key.name} has no {credential}, which {self.name} needs.")
        return {field: credentials[credential] for credential, field in self.fields.items()}


def choose_connectors(keys: Sequence[Key], names: Sequence[str]) -> list[tuple[Connector, Key]]:
    """Return the connectors and the key of each.

    These are the named ones, and for each other key the first that its exchange has. Raise
    `SetupError` if there is none, or if two keys are for the same one.
    """
    chosen = [(find_connector(name), key) for name in names for key in keys]
    chosen = [(connector, key) for connector, key in chosen if connector.matches(key)]
    for name in names:
        if all(connector.name != name for connector, _ in chosen):
            raise SetupError(f"No key that is leased is for the connector {name}.")
    named = [key for _, key in chosen]
    chosen += [(find_default(key), key) for key in keys if key not in named]
    taken = [connector.name for connector, _ in chosen]
    for name in taken:
        if taken.count(name) > 1:
            raise SetupError(f"Two keys are for the connector {name}. Choose one with --key.")
    return chosen


def find_connector(name: str) -> Connector:
    """Return a connector by its name; raise `SetupError`."""
    for connector in CONNECTORS:
        if connector.name == name:
            return connector
    names = ", ".join(connector.name for connector in CONNECTORS)
    raise SetupError(f"{name} is not a connector that is known here. Known are: {names}.")


def find_default(key: Key) -> Connector:
    """Return the first connector that can use the key, or raise `SetupError`."""
    for connector in CONNECTORS:
        if connector.matches(key):
            return connector
    where = f"the testnet of {key.exchange}" if key.is_testnet else key.exchange
    raise SetupError(f"No connector of hummingbot is known here for {where}.")


def _describe(
    name: str, exchange: str, secret: str, *, prefix: str = "", passphrase: bool = False
) -> Connector:
    """Return a connector with an API key. Its fields start with its name or the prefix."""
    start = prefix or name
    fields = {"api_key": f"{start}_api_key", "api_secret": f"{start}_{secret}"}
    if passphrase:
        fields["passphrase"] = f"{start}_passphrase"
    return Connector(name, exchange, fields, is_testnet=name.endswith("_testnet"))


def _describe_hyperliquid(name: str) -> Connector:
    fields = {"private_key": f"{name}_secret_key", "wallet_address": f"{name}_address"}
    return Connector(name, "hyperliquid", fields, is_testnet=name.endswith("_testnet"))


CONNECTORS = (
    _describe("backpack", "backpack", API_SECRET),
    _describe("backpack_perpetual", "backpack", API_SECRET, prefix="backpack"),
    _describe("binance", "binance", API_SECRET),
    _describe("binance_perpetual", "binance", API_SECRET),
    _describe("binance_perpetual_testnet", "binance", API_SECRET),
    _describe("bing_x", "bingx", API_SECRET, prefix="bingx"),
    _describe("bitget", "bitget", SECRET_KEY, passphrase=True),
    _describe("bitget_perpetual", "bitget", SECRET_KEY, passphrase=True),
    _describe("bitrue", "bitrue", API_SECRET),
    _describe("bitstamp", "bitstamp", API_SECRET),
    _describe("btc_markets", "btcmarkets", API_SECRET),
    _describe("bybit", "bybit", API_SECRET),
    _describe("bybit_perpetual", "bybit", SECRET_KEY),
    _describe("bybit_testnet", "bybit", API_SECRET),
    _describe("bybit_perpetual_testnet", "bybit", SECRET_KEY),
    _describe("coinbase_advanced_trade", "coinbase", API_SECRET),
    _describe("gate_io", "gate", SECRET_KEY),
    _describe("gemini", "gemini", API_SECRET),
    _describe("htx", "htx", SECRET_KEY),
    _describe_hyperliquid("hyperliquid"),
    _describe_hyperliquid("hyperliquid_perpetual"),
    _describe_hyperliquid("hyperliquid_testnet"),
    _describe_hyperliquid("hyperliquid_perpetual_testnet"),
    _describe("kraken", "kraken", SECRET_KEY),
    _describe("kucoin", "kucoin", SECRET_KEY, passphrase=True),
    _describe("kucoin_perpetual", "kucoin", SECRET_KEY, passphrase=True),
    _describe("mexc", "mexc", API_SECRET),
    _describe("okx", "okx", SECRET_KEY, passphrase=True),
    _describe("okx_perpetual", "okx", SECRET_KEY, passphrase=True),
)
"""For an exchange with several, the first is the one for spot."""
