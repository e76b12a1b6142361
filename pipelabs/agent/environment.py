"""How engines read credentials from their environment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence

from .errors import SetupError
from .exchange import ATTRIBUTES
from .keys import Credentials, Key

Held = Sequence[tuple[Key, Credentials]]
FREQTRADE = {"api_key": "KEY", "api_secret": "SECRET", "passphrase": "PASSWORD"}
"""Credential → freqtrade's name under `exchange`. The others have the same name."""
NAUTILUS = {"passphrase": "API_PASSPHRASE", "private_key": "PK"}
"""Credential → the end of nautilus_trader's variable. The others have the same name."""
JSON_VARIABLE = "PIPELABS_KEYS"


def build_environment(style: str, held: Held) -> dict[str, str]:
    """Return the variables of an engine for its keys.

    `style` is one of `STYLES`. Raise `SetupError` if the engine can't have these keys at once.
    """
    environment: dict[str, str] = {}
    for name, value in STYLES[style](held):
        if name in environment:
            raise SetupError(f"Two keys would set {name}. Choose one with --key.")
        environment[name] = value
    return environment


def _list_freqtrade(held: Held) -> Iterable[tuple[str, str]]:
    if len(held) != 1:
        names = ", ".join(key.name for key, _ in held)
        raise SetupError(f"freqtrade uses one key, not {len(held)}: {names}. Name it with --key.")
    [(key, credentials)] = held
    yield "FREQTRADE__EXCHANGE__NAME", key.exchange
    for name, value in credentials.items():
        yield f"FREQTRADE__EXCHANGE__{FREQTRADE.get(name, name.upper())}", value


def _list_nautilus(held: Held) -> Iterable[tuple[str, str]]:
    for key, credentials in held:
        prefix = _join(key.exchange, "testnet" if key.is_testnet else "")
        for name, value in credentials.items():
            yield _join(prefix, NAUTILUS.get(name, name)), value


def _list_ccxt(held: Held) -> Iterable[tuple[str, str]]:
    for key, credentials in held:
        for name, value in credentials.items():
            yield _join(key.exchange, key.label, ATTRIBUTES[name]), value


def _list_json(held: Held) -> Iterable[tuple[str, str]]:
    keys = [
        {
            "key_id": key.id,
            "client_id": key.client_id,
            "client": key.client,
            "exchange": key.exchange,
            "label": key.label,
            "is_testnet": key.is_testnet,
            "credentials": dict(credentials),
        }
        for key, credentials in held
    ]
    yield JSON_VARIABLE, json.dumps(keys)


def _join(*parts: str) -> str:
    """Return the parts as one name of a variable."""
    return "_".join(re.sub(r"[^A-Z0-9]+", "_", part.upper()) for part in parts if part)


STYLES: dict[str, Callable[[Held], Iterable[tuple[str, str]]]] = {
    "freqtrade": _list_freqtrade,
    "nautilus": _list_nautilus,
    "ccxt": _list_ccxt,
    "json": _list_json,
}
