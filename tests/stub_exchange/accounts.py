"""The keys of the stub: one per exchange and scenario, derived from their names.

An api key is `<slug>-<scenario>`, or `<slug>-<scenario>.<account>.<number>` where a test needs many
accounts or several keys of one. Its secret is the SHA-256 of "stub <api key>" in hex; in base64
for Kraken, and as a P-256 private key for Coinbase, which take no other. Its passphrase is the
first 16 hex digits of the SHA-256 of "stub passphrase <api key>".
"""

import base64
import hashlib
import re
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

SLUGS = (
    "binance",
    "bybit",
    "okx",
    "kucoin",
    "coinbase",
    "gate",
    "mexc",
    "bitget",
    "kraken",
)
WITH_PASSPHRASE = {"okx", "kucoin", "bitget"}
NUMBERS = re.compile(r"\.[0-9]+\.[0-9]+$")


class Scenario(StrEnum):
    """What a key may do, or what happens when it is used."""

    READ_ONLY = "read-only"
    TRADE_ONLY = "trade-only"
    QUOTER = "quoter"
    """Trades. `make run` gives it to a demo client, for `dev.quoter`."""
    WITHDRAW = "withdraw"
    IP_BOUND = "ip-bound"
    """Trades, from listed addresses only; ours is listed."""
    EXPIRING = "expiring"
    """Trades until a date, where the exchange reports it."""
    WRONG_CLOCK = "wrong-clock"
    """The exchange's clock is an hour ahead."""
    SHARED = "shared"
    """Another program uses the key, too. Kraken compares their nonces."""
    UNIFIED = "unified"
    """Trades, in a unified account. Bitget has another endpoint for it."""
    WRONG_ADDRESS = "wrong-address"
    NO_PERMISSION = "no-permission"
    BUSY = "busy"
    HTML = "html"
    REDIRECT = "redirect"
    """Redirects to another host, with all parameters in the address."""
    HUGE = "huge"
    TIME_OUT = "time-out"
    DRIP = "drip"
    """A byte at a time, so that no single read times out."""


def credentials(
    slug: str, scenario: Scenario, account: int | None = None, number: int = 1
) -> dict[str, str]:
    """Return a key's credentials, under the application's names.

    `number` tells the keys of one account apart.
    """
    numbers = "" if account is None else f".{account}.{number}"
    return derive_credentials(slug, f"{slug}-{scenario}{numbers}")


def derive_credentials(slug: str, api_key: str) -> dict[str, str]:
    """Return the credentials of an api key, under the application's names."""
    credentials = {"api_key": api_key, "api_secret": _secret(slug, api_key)}
    if slug in WITH_PASSPHRASE:
        digest = hashlib.sha256(f"stub passphrase {api_key}".encode()).hexdigest()
        credentials["passphrase"] = digest[:16]
    return credentials


def keys(slug: str) -> dict[Scenario, dict[str, str]]:
    """Return all keys of one exchange."""
    return {scenario: credentials(slug, scenario) for scenario in Scenario}


def find_scenario(slug: str, api_key: str) -> Scenario | None:
    """Return the scenario of an api key, if it is one of this exchange's."""
    name = NUMBERS.sub("", api_key.removeprefix(f"{slug}-"))
    is_known = api_key.startswith(f"{slug}-") and name in set(Scenario)
    return Scenario(name) if is_known else None


def find_account(api_key: str) -> str:
    """Return the account of an api key. All keys of an account see the same orders."""
    return api_key.rpartition(".")[0] or api_key


def _secret(slug: str, api_key: str) -> str:
    digest = hashlib.sha256(f"stub {api_key}".encode())
    if slug == "kraken":
        return base64.b64encode(digest.digest()).decode()
    if slug == "coinbase":
        return _private_key(int(digest.hexdigest(), 16))
    return digest.hexdigest()


def _private_key(number: int) -> str:
    key = ec.derive_private_key(number % (2**255) + 1, ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return text.decode()
