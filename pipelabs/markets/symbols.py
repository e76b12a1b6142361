"""Parse the symbol of a token pair in any common spelling, and format it as exchanges do."""

import re
import unicodedata
from itertools import pairwise

from pipelabs.core.text import find_forbidden, is_visible, trim
from pipelabs.markets.lookalikes import find_latin_lookalike
from pipelabs.models.exchanges import SymbolStyle
from pipelabs.models.token_pairs import ASSET_LENGTH, Symbol

MAX_LENGTH = 3 * ASSET_LENGTH + 2
"""Three assets and two separators."""
WITH_SLASH = re.compile(r"([^/]*)/([^/:]*)(?::([^/:]*))?")
"""The base asset can have colons, as in Hyperliquid's `XYZ:TSLA`."""
WITHOUT_SLASH = re.compile(r"([^_:-]*)[_-]([^_:-]*)(?::([^_:-]*))?")
QUOTE_FIRST = re.compile(r"(?P<quote>[^_:-]*)-(?P<base>[^_:-]*)")
SIGNS = re.compile(r"[.:_-]")
"""Signs inside an asset."""
EXPIRY = re.compile(r"[-_/](?:[0-9]{2})?[0-9]{6}(-[0-9]+-[CP])?$", re.ASCII)
"""The expiry date of a future or an option."""
CONTRACTS = frozenset({"PERP", "PERPETUAL", "SWAP"})
"""What exchanges write for a swap in place of its quote asset. PERP is also a base asset."""
FORMATS = {
    SymbolStyle.JOINED: "{0}{1}",
    SymbolStyle.DASH: "{0}-{1}",
    SymbolStyle.QUOTE_DASH: "{1}-{0}",
    SymbolStyle.UNDERSCORE: "{0}_{1}",
    SymbolStyle.SLASH: "{0}/{1}",
    SymbolStyle.LOWER_JOINED: "{2}{3}",
    SymbolStyle.LOWER_UNDERSCORE: "{2}_{3}",
}
"""Style → template of base and quote, first in upper case, then in lower case."""
VARIATION_SELECTORS = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Invisible marks, which change the form of the letter before them."""


class SymbolError(ValueError):
    """The text is not the symbol of a token pair. The message is a sentence for the user."""


def parse(text: str, style: SymbolStyle | None = None) -> Symbol:
    """Return the symbol that the text spells, in any case.

    A slash separates base and quote; without one, a dash or an underscore does. On an exchange,
    whose `style` is given, a text without a slash is read as the exchange writes it: `KRW-BTC` on
    Upbit is BTC/KRW. Where symbols follow no rule, only a slash is read. Raise `SymbolError` for
    any other text. Dated futures and options are not supported.
    """
    text = unicodedata.normalize("NFC", trim(text))
    _reject_characters(text)
    text = unicodedata.normalize("NFC", text.upper())
    if EXPIRY.search(text):
        raise SymbolError("Futures and options with an expiry date are not supported.")
    symbol = _split(text, style)
    for name, asset in zip(("base", "quote", "settle"), symbol, strict=True):
        if asset is not None:
            _reject_asset(name, asset)
    base, quote, settle = symbol
    if _is_contract(base, quote, settle):
        raise SymbolError("Write a swap with its quote and settle asset, such as BTC/USDT:USDT.")
    if base == quote:
        raise SymbolError(f"Base and quote are both {base}.")
    return Symbol(base, quote, settle)


def normalise_symbol(text: str) -> str:
    """Return a symbol in the stored spelling, and any other text in the stored encoding."""
    try:
        return parse(text).text
    except SymbolError:
        return unicodedata.normalize("NFC", text)


def format_exchange_symbol(symbol: Symbol, style: SymbolStyle) -> str | None:
    """Return the exchange symbol of a pair, or None if the style has no rule for it.

    No style has a rule for swaps, and `own` has none at all. For an asset with a dash, underscore
    or colon only a slash has one: with the others the pair could be read as another.
    """
    base, quote = symbol.base_asset, symbol.quote_asset
    if symbol.settle_asset or style not in FORMATS:
        return None
    if style is not SymbolStyle.SLASH and re.search("[_:-]", base + quote):
        return None
    return FORMATS[style].format(base, quote, base.lower(), quote.lower())


def _split(text: str, style: SymbolStyle | None) -> tuple[str, str, str | None]:
    """Return base, quote and settle asset of a text in upper case."""
    if "/" in text:
        pattern = WITH_SLASH
    elif style is SymbolStyle.OWN and re.search("[_:-]", text):
        raise SymbolError(
            "Symbols of this exchange follow no rule. Put a slash between base and quote, such as"
            " BTC/USDT."
        )
    elif style is SymbolStyle.QUOTE_DASH:
        pattern = QUOTE_FIRST
    else:
        pattern = WITHOUT_SLASH
    if not (match := pattern.fullmatch(text)):
        raise SymbolError(_describe_format_error(text, style))
    if pattern is QUOTE_FIRST:
        return match["base"], match["quote"], None
    base, quote, settle = match.groups()
    return base, quote, settle


def _reject_characters(text: str) -> None:
    """Reject a text with spaces or invisible characters, and letters without one upper case."""
    if not text:
        raise SymbolError("This field is required.")
    if any(map(str.isspace, text)):
        raise SymbolError("A symbol can't contain spaces.")
    if sentence := find_forbidden(text):
        raise SymbolError(sentence)
    if len(text) > MAX_LENGTH:
        raise SymbolError(f"An asset has at most {ASSET_LENGTH} characters.")
    for character in text:
        upper = character.upper()
        # The upper case of a dotless i is I, and that of ß is SS: other assets.
        if not character.isascii() and (upper.isascii() or upper.lower().upper() != upper):
            raise SymbolError(f"An asset can't contain “{character}”.")


def _describe_format_error(text: str, style: SymbolStyle | None) -> str:
    """Return the error of a text that is neither a pair nor a swap."""
    if not re.search("[/_:-]", text):
        return "Put a slash between base and quote, such as BTC/USDT."
    if style is SymbolStyle.QUOTE_DASH and "/" not in text:
        return "This exchange writes the quote asset first, as in KRW-BTC for BTC/KRW."
    return "Write a pair as BTC/USDT, and a swap as BTC/USDT:USDT."


def _reject_asset(name: str, asset: str) -> None:
    if not asset:
        raise SymbolError(f"The {name} asset is missing. Write a pair as BTC/USDT.")
    if len(asset) > ASSET_LENGTH:
        raise SymbolError(f"The {name} asset has more than {ASSET_LENGTH} characters.")
    if not (asset.isascii() and asset.isalnum()):
        _reject_form(name, asset)


def _reject_form(name: str, asset: str) -> None:
    """Reject signs at the ends, what is no letter, and what looks like other letters."""
    for before, character in pairwise(f".{asset}"):
        if not (_is_letter(character, before) or character == "$" or SIGNS.match(character)):
            raise SymbolError(f"The {name} asset can't contain “{character}”.")
    # A dollar sign can be the first character, as in $PAC.
    if not all(SIGNS.split(asset)) or asset.endswith("$"):
        raise SymbolError(f"The {name} asset must begin and end with a letter or a digit.")
    if likeness := find_latin_lookalike(asset):
        raise SymbolError(f"The {name} asset looks like {likeness} but has other letters.")


def _is_letter(character: str, before: str) -> bool:
    """Return whether it is a letter or a digit of any script, or a mark on the one before it."""
    if unicodedata.category(character)[0] == "M":
        return not SIGNS.match(before) and not VARIATION_SELECTORS.match(character)
    return (character.isalpha() or character.isdecimal()) and is_visible(character)


def _is_contract(base: str, quote: str, settle: str | None) -> bool:
    _, sign, suffix = base.rpartition("-")
    endings = [*SIGNS.split(quote), *SIGNS.split(settle or ""), *([suffix] if sign else [])]
    return bool(CONTRACTS.intersection(endings))
