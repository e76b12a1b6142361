"""Symbols: any common spelling of a pair → its two or three assets, and how exchanges write it."""

import re
import unicodedata

from pipelabs.models.exchanges import SymbolStyle
from pipelabs.models.token_pairs import Symbol

ASSET_LENGTH = 24
LONGEST = 3 * ASSET_LENGTH + 2
"""Three assets and what parts them."""
SYMBOL = re.compile(r"([^/_:-]*)[/_-]([^/_:-]*)(?::([^/_:-]*))?")
DATED = re.compile(r"-[0-9]{6}(-[0-9]+-[CP])?$", re.ASCII)
"""The day on which a future or an option ends."""
ASSET = re.compile(r"[A-Z0-9]+", re.ASCII)
SPELLINGS = {
    SymbolStyle.JOINED: "{0}{1}",
    SymbolStyle.DASH: "{0}-{1}",
    SymbolStyle.UNDERSCORE: "{0}_{1}",
    SymbolStyle.SLASH: "{0}/{1}",
    SymbolStyle.LOWER_JOINED: "{2}{3}",
    SymbolStyle.LOWER_UNDERSCORE: "{2}_{3}",
}


class SymbolError(ValueError):
    """A text that is no pair; the message is a sentence that the caller may read."""


def parse(text: str) -> Symbol:
    """Return the pair that the text names, in any case, with `/`, `-` or `_` between its assets.

    Raise `SymbolError` for what is none, dated futures and options among them.
    """
    text = text.strip(" ")
    _reject_characters(text)
    text = text.upper()
    if DATED.search(text):
        raise SymbolError("Futures and options with a date are not quoted here.")
    if not (found := SYMBOL.fullmatch(text)):
        raise SymbolError(_shape(text))
    base, quote, settle = found.groups()
    for name, asset in (("base", base), ("quote", quote), ("settle", settle)):
        if asset is not None:
            _reject_asset(name, asset)
    if base == quote:
        raise SymbolError(f"Base and quote are both {base}.")
    return Symbol(base, quote, settle)


def exchange_symbol(symbol: Symbol, style: SymbolStyle) -> str | None:
    """Return how an exchange of this style writes the pair; None where somebody must tell it.

    No rule gives the spelling of a swap, and none that of an exchange with a style of its own.
    """
    if symbol.settle_asset or style not in SPELLINGS:
        return None
    assets = (symbol.base_asset, symbol.quote_asset)
    return SPELLINGS[style].format(*assets, *map(str.lower, assets))


def _reject_characters(text: str) -> None:
    for place, character in enumerate(text):
        if not character.isascii():
            name = unicodedata.name(character, "a character without a name")
            raise SymbolError(f"Character {place + 1} is not ASCII: {name}.")
        if character.isspace():
            raise SymbolError("A pair has no spaces inside.")
        if not character.isprintable():
            raise SymbolError(f"Character {place + 1} is not allowed: U+{ord(character):04X}.")
    if not text:
        raise SymbolError("This field is required.")
    if len(text) > LONGEST:
        raise SymbolError(f"An asset has at most {ASSET_LENGTH} characters.")


def _shape(text: str) -> str:
    """Return the sentence for a text that is not two assets, or three of a swap."""
    if not re.search("[/_:-]", text):
        return "Write the slash between base and quote, such as BTC/USDT."
    return "Write a pair as BTC/USDT, and a swap as BTC/USDT:USDT."


def _reject_asset(name: str, asset: str) -> None:
    if not asset:
        raise SymbolError(f"The {name} asset is missing; write a pair as BTC/USDT.")
    if len(asset) > ASSET_LENGTH:
        raise SymbolError(f"An asset has at most {ASSET_LENGTH} characters; {name} has more.")
    if not ASSET.fullmatch(asset):
        raise SymbolError(f"An asset is letters A to Z and digits; {name} has something else.")
