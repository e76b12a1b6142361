"""Parse the symbol of a token pair in any common spelling, and format it as exchanges do."""

import re
import unicodedata

from pipelabs.core.text import trim
from pipelabs.models.exchanges import SymbolStyle
from pipelabs.models.token_pairs import Symbol

ASSET_LENGTH = 24
MAX_LENGTH = 3 * ASSET_LENGTH + 2
"""Three assets and two separators."""
SYMBOL = re.compile(r"([^/_:-]*)[/_-]([^/_:-]*)(?::([^/_:-]*))?")
EXPIRY = re.compile(r"[-_/](?:[0-9]{2})?[0-9]{6}(-[0-9]+-[CP])?$", re.ASCII)
"""The expiry date of a future or an option."""
ASSET = re.compile(r"[A-Z0-9]+", re.ASCII)
CONTRACTS = frozenset({"PERP", "PERPETUAL", "SWAP"})
"""What exchanges write for a swap in place of its quote asset. PERP is also a base asset."""
FORMATS = {
    SymbolStyle.JOINED: "{0}{1}",
    SymbolStyle.DASH: "{0}-{1}",
    SymbolStyle.UNDERSCORE: "{0}_{1}",
    SymbolStyle.SLASH: "{0}/{1}",
    SymbolStyle.LOWER_JOINED: "{2}{3}",
    SymbolStyle.LOWER_UNDERSCORE: "{2}_{3}",
}
"""Style → template of base and quote, first in upper case, then in lower case."""


class SymbolError(ValueError):
    """The text is not the symbol of a token pair. The message is a sentence for the user."""


def parse(text: str) -> Symbol:
    """Return the symbol that the text spells, in any case, with `/`, `-` or `_` as separator.

    Raise `SymbolError` for any other text. Dated futures and options are not supported.
    """
    text = trim(text)
    _reject_characters(text)
    text = text.upper()
    if EXPIRY.search(text):
        raise SymbolError("Futures and options with an expiry date are not supported.")
    if not (match := SYMBOL.fullmatch(text)):
        raise SymbolError(_describe_format_error(text))
    base, quote, settle = match.groups()
    for name, asset in (("base", base), ("quote", quote), ("settle", settle)):
        if asset is not None:
            _reject_asset(name, asset)
    if CONTRACTS.intersection((quote, settle)):
        raise SymbolError("Write a swap with its quote and settle asset, such as BTC/USDT:USDT.")
    if base == quote:
        raise SymbolError(f"Base and quote are both {base}.")
    return Symbol(base, quote, settle)


def normalise_symbol(text: str) -> str:
    """Return a symbol in the stored spelling, and any other text unchanged."""
    try:
        return parse(text).text
    except SymbolError:
        return text


def format_exchange_symbol(symbol: Symbol, style: SymbolStyle) -> str | None:
    """Return the exchange symbol of a pair, or None if the style has no rule for it.

    No style has a rule for swaps, and `own` has none at all.
    """
    if symbol.settle_asset or style not in FORMATS:
        return None
    assets = (symbol.base_asset, symbol.quote_asset)
    return FORMATS[style].format(*assets, *map(str.lower, assets))


def _reject_characters(text: str) -> None:
    for place, character in enumerate(text):
        if not character.isascii():
            name = unicodedata.name(character, "a character without a name")
            raise SymbolError(f"Character {place + 1} is not ASCII: {name}.")
        if character.isspace():
            raise SymbolError("A symbol can't contain spaces.")
        if not character.isprintable():
            raise SymbolError(f"Remove character {place + 1}, U+{ord(character):04X}.")
    if not text:
        raise SymbolError("This field is required.")
    if len(text) > MAX_LENGTH:
        raise SymbolError(f"An asset has at most {ASSET_LENGTH} characters.")


def _describe_format_error(text: str) -> str:
    """Return the error of a text that is neither a pair nor a swap."""
    if not re.search("[/_:-]", text):
        return "Put a slash between base and quote, such as BTC/USDT."
    return "Write a pair as BTC/USDT, and a swap as BTC/USDT:USDT."


def _reject_asset(name: str, asset: str) -> None:
    if not asset:
        raise SymbolError(f"The {name} asset is missing. Write a pair as BTC/USDT.")
    if len(asset) > ASSET_LENGTH:
        raise SymbolError(f"The {name} asset has more than {ASSET_LENGTH} characters.")
    if not ASSET.fullmatch(asset):
        raise SymbolError(f"The {name} asset can only have the letters A to Z and digits.")
