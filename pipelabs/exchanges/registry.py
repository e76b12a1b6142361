"""The exchanges that the code knows: one row each in `exchanges.json`, ours since it was drawn up.

`flask exchanges sync` adds what a newer ccxt knows and never takes anything away.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipelabs.models.exchanges import Credential, Kind, SymbolStyle

FILE = Path(__file__).with_name("exchanges.json")


@dataclass(frozen=True, slots=True)
class KnownExchange:
    """What the registry says of one exchange.

    `credentials` are in the order of a form. `hosts` are all that may ever be called to ask what a
    key may do, `testnet_hosts` the same for keys of the testnet; without a `ccxt_id` none can be.
    One that is closing is known, for keys and markets there are, and disabled unless an owner says
    otherwise.
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
        """Return whether a key can be one of a testnet."""
        return bool(self.testnet_hosts)

    def wrong_parts(self, sent: Collection[Credential]) -> dict[str, list[str]]:
        """Return every part of a key that is missing, or that this exchange does not ask for."""
        missing = [part for part in self.credentials if part not in sent]
        foreign = [part for part in Credential if part in sent and part not in self.credentials]
        return {part.value: [f"{self.name} asks for it."] for part in missing} | {
            part.value: [f"{self.name} has no such part of a key."] for part in foreign
        }


@cache
def known() -> Mapping[str, KnownExchange]:
    """Return slug → exchange, by name."""
    rows = map(_exchange, json.loads(FILE.read_text(encoding="utf-8")))
    return {row.slug: row for row in sorted(rows, key=lambda row: row.name.lower())}


def find(text: str) -> KnownExchange | None:
    """Return the exchange with this slug or alias, in any case."""
    slug = text.strip().lower()
    return known().get(_aliases().get(slug, slug))


def can_be_probed(slug: str) -> bool:
    """Return whether the exchange can be asked which permissions an API key has."""
    exchange = find(slug)
    return exchange is not None and exchange.ccxt_id is not None


@cache
def _aliases() -> Mapping[str, str]:
    return {alias: row.slug for row in known().values() for alias in row.aliases}


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
