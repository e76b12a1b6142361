"""A ccxt exchange whose credentials come from a lease and go with it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, cast

from .errors import SetupError
from .keys import Credentials, Key

ATTRIBUTES: Mapping[str, str] = {
    "api_key": "apiKey",
    "api_secret": "secret",
    "passphrase": "password",
    "uid": "uid",
    "account_id": "accountId",
    "login": "login",
    "token": "token",
    "private_key": "privateKey",
    "wallet_address": "walletAddress",
    "two_factor": "twofa",
}
"""Credential → the attribute that ccxt reads it from."""
LIBRARIES = ("ccxt", "ccxt.async_support", "ccxt.pro")


class LeasedExchange(Protocol):
    """What the agent does to an exchange that it made."""

    def arm(self, credentials: Credentials) -> None:
        """Set the credentials, between two signatures."""

    def disarm(self) -> None:
        """Clear the credentials, between two signatures."""


class Guard(NamedTuple):
    """A lock under which credentials are read and changed, and what raises if they are not held."""

    turn: AbstractContextManager[Any]
    check: Callable[[], object]


def create_exchange(
    library: str, key: Key, options: Mapping[str, Any], guard: Guard
) -> LeasedExchange:
    """Return an exchange of ccxt without credentials, which asks the guard before it signs.

    Raise `SetupError` if ccxt is not installed or does not know the exchange.
    """
    if library not in LIBRARIES:
        raise SetupError(f"The library is one of {', '.join(LIBRARIES)}.")
    try:
        base = getattr(importlib.import_module(library), key.exchange)
    except ImportError:
        raise SetupError("ccxt is not installed. Run: pip install ccxt") from None
    except AttributeError:
        raise SetupError(f"ccxt does not know the exchange {key.exchange}.") from None
    exchange = _derive_class(base, guard)({**options, **dict.fromkeys(ATTRIBUTES.values(), "")})
    if key.is_testnet:
        exchange.set_sandbox_mode(True)
    return cast("LeasedExchange", exchange)


def _derive_class(base: type[Any], guard: Guard) -> type[Any]:
    """Return the exchange's class with signatures that ask first."""

    def sign(self: Any, *arguments: Any, **named: Any) -> Any:
        with guard.turn:
            guard.check()
            return base.sign(self, *arguments, **named)

    def check_required_credentials(self: Any, *arguments: Any, **named: Any) -> Any:
        guard.check()
        return base.check_required_credentials(self, *arguments, **named)

    def arm(self: Any, credentials: Credentials) -> None:
        with guard.turn:
            for name, value in credentials.items():
                setattr(self, ATTRIBUTES[name], value)

    def disarm(self: Any) -> None:
        with guard.turn:
            for attribute in ATTRIBUTES.values():
                setattr(self, attribute, "")

    methods = (sign, check_required_credentials, arm, disarm)
    return type(base.__name__, (base,), {method.__name__: method for method in methods})
