"""The registry of exchanges: `exchanges.json`, which has one row per exchange.

`flask exchanges sync` adds what a newer ccxt knows, and never removes a row.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipelabs.core.text import trim
from pipelabs.models.exchanges import Credential, Kind, SymbolStyle

FILE = Path(__file__).with_name("exchanges.json")
DERIVATIVES = re.compile(r"[ _-]perpetual(_testnet)?\Z")
"""What bots add to the name of an exchange for its perpetual contracts."""
PUNCTUATION = str.maketrans("", "", " ._-()")


@dataclass(frozen=True, slots=True)
class KnownExchange:
    """An exchange in the registry.

    `credentials` are in the order of a form. A probe may call only `hosts`, or `testnet_hosts` for
    a testnet key. Without a `ccxt_id` there is no probe. An exchange that is closing is disabled by
    default. It stays in the registry, because keys and markets refer to it.
    """

    slug: str
    name: str
    website: str
    docs_url: str
    kind: Kind
    symbol_style: SymbolStyle
    credentials: tuple[Credential, ...]
    aliases: tuple[str, ...]
    hosts: frozenset[str]
    testnet_hosts: frozenset[str]
    ccxt_id: str | None
    is_closing: bool

    @property
    def has_testnet(self) -> bool:
        """Return whether testnet keys are supported."""
        return bool(self.testnet_hosts)

    def check_fields(self, credentials: Collection[Credential]) -> dict[str, list[str]]:
        """Return the errors of a key's credentials: those that are missing, and those not used."""
        missing = [name for name in self.credentials if name not in credentials]
        unused = [
            name for name in Credential if name in credentials and name not in self.credentials
        ]
        return {name.value: [f"{self.name} requires this field."] for name in missing} | {
            name.value: [f"{self.name} does not use this field."] for name in unused
        }


@cache
def known() -> Mapping[str, KnownExchange]:
    """Return slug → exchange, in the order of their names."""
    rows = map(_exchange, json.loads(FILE.read_text(encoding="utf-8")))
    return {row.slug: row for row in sorted(rows, key=lambda row: row.name.lower())}


def name_of(slug: str) -> str:
    """Return how people write an exchange. One that this version does not know keeps its slug."""
    exchange = known().get(slug)
    return exchange.name if exchange else slug


def find(text: str) -> KnownExchange | None:
    """Return the exchange with this slug, alias or name.

    Case, spaces and punctuation do not matter: desks and bots write `gate.io`, `gate_io`, `Gate.io`
    and `gate_io_perpetual`.
    """
    name = trim(text).lower()
    names = _names()
    slug = names.get(_letters(name)) or names.get(_letters(DERIVATIVES.sub("", name)))
    return known()[slug] if slug else None


def can_be_probed(slug: str) -> bool:
    """Return whether the exchange can be asked for the permissions of an API key."""
    exchange = find(slug)
    return exchange is not None and exchange.ccxt_id is not None


@cache
def _names() -> Mapping[str, str]:
    """Return every name of every exchange, without punctuation → slug."""
    return {
        _letters(name.lower()): row.slug
        for row in known().values()
        for name in (row.name, *row.aliases, row.slug)
    }


def _letters(name: str) -> str:
    return name.translate(PUNCTUATION)


def _exchange(row: Mapping[str, object]) -> KnownExchange:
    return KnownExchange(
        slug=str(row["slug"]),
        name=str(row["name"]),
        website=str(row["website"]),
        docs_url=str(row["docs_url"]),
        kind=Kind(str(row["kind"])),
        symbol_style=SymbolStyle(str(row["symbol_style"])),
        credentials=tuple(map(Credential, _texts(row["credentials"]))),
        aliases=_texts(row["aliases"]),
        hosts=frozenset(_texts(row["hosts"])),
        testnet_hosts=frozenset(_texts(row["testnet_hosts"])),
        ccxt_id=None if row["ccxt_id"] is None else str(row["ccxt_id"]),
        is_closing=bool(row.get("is_closing")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
