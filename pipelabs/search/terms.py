"""What a text asks for: its words, the exchanges among them, and the ends of a wallet address."""

import re
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from pipelabs.clients.queries import INDEXED
from pipelabs.clients.wallets import find_ends
from pipelabs.exchanges import registry
from pipelabs.markets.symbols import normalise_symbol

FILLERS = frozenset({"at", "for", "in", "of", "on", "the", "to", "with"})
"""Words between a pair and its exchange, or an action and a client."""
MIN_EXCHANGE_LETTERS = 2
MASK, LAST_CHARACTERS = "•*….", 4
REQUEST_ID = re.compile(r"(?=.*[0-9])[A-Za-z0-9._-]{8,64}", re.ASCII)
"""A request id. Callers can choose one, but one without a digit is taken for a word."""
QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "GBP", "KRW", "TRY", "BTC", "ETH")
"""Quote assets that end a symbol without a slash, the most traded first, the shorter ones last."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """The words of a text that are about a symbol or a name, and the exchanges the others name."""

    words: tuple[str, ...]
    exchanges: tuple[str, ...]


@dataclass(frozen=True)
class Terms:
    """A text that was typed to find something, as `SearchText` loads it."""

    typed: str

    @cached_property
    def text(self) -> str:
        """Return the text in lower case."""
        return self.typed.lower()

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Return the words without fillers, or all if there are only fillers."""
        words = self.text.split()
        return tuple(word for word in words if word not in FILLERS) or tuple(words)

    @property
    def is_indexed(self) -> bool:
        """Return whether a word is long enough for an index of letter triples."""
        return any(map(INDEXED.search, self.words))

    @cached_property
    def splitting(self) -> Splitting:
        """Return the words beside those that name an exchange.

        One word alone names no exchange here. If all of them do, the last one does.
        """
        slugs = {word: find_exchanges(word) for word in self.words}
        named = [word for word in self.words if slugs[word]]
        if len(named) == len(self.words):
            named = named[-1:]
        if len(self.words) == 1 or not named:
            return Splitting(self.words, ())
        rest = tuple(word for word in self.words if word not in named)
        places = [set(slugs[word]) for word in named]
        exchanges = set.intersection(*places) or set.union(*places)
        return Splitting(rest, tuple(sorted(exchanges))) if rest else Splitting(self.words, ())

    @cached_property
    def symbol(self) -> str:
        """Return the text as the symbol of a pair, in lower case, if it can be one."""
        return normalise_symbol(split_pair(self.text)).lower()

    @property
    def last_characters(self) -> str:
        """Return what can be the last four characters of a key, as the console shows them."""
        shown = " ".join(self.splitting.words).lstrip(MASK)
        return shown if len(shown) <= LAST_CHARACTERS else ""

    @property
    def wallet_ends(self) -> tuple[str, str] | None:
        """Return the two ends of a wallet address in the console's short form."""
        return find_ends(self.text)

    @property
    def request_id(self) -> str | None:
        """Return the text as it was typed if it can be a request id."""
        return self.typed if REQUEST_ID.fullmatch(self.typed) else None

    @property
    def id(self) -> UUID | None:
        """Return the text if it is the id of a row."""
        try:
            return UUID(self.text)
        except ValueError:
            return None


def find_exchanges(word: str) -> tuple[str, ...]:
    """Return the slug of the exchange that is called so, else those whose name begins so."""
    if len(word) < MIN_EXCHANGE_LETTERS:
        return ()
    if known := registry.find(word):
        return (known.slug,)
    return tuple(
        row.slug
        for row in registry.known().values()
        if any(name.lower().startswith(word) for name in (row.slug, row.name, *row.aliases))
    )


def split_pair(word: str) -> str:
    """Return `pepe/usdt` for `pepeusdt`, and any other word as it is."""
    for quote in QUOTES:
        base = word.upper().removesuffix(quote)
        if base and base.isalnum() and base != word.upper():
            return f"{base}/{quote}".lower()
    return word
