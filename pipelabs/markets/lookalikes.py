"""Find assets that look alike but have other letters, such as a Cyrillic letter in place of a B.

What looks alike is Unicode's list of confusable characters (UTS 39).
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

MAX_REMEMBERED = 1000
"""Characters, of which an exchange lists few beyond ASCII."""


def find_latin_lookalike(asset: str) -> str | None:
    """Return the Latin letters and digits that the asset looks like, or None.

    An asset of Latin letters and digits looks like no other: exchanges list both `L1` and `LI`.
    """
    if asset.isascii():
        return None
    latin = "".join(map(_latin, unicodedata.normalize("NFKC", asset)))
    return latin if latin.isascii() else None


def skeleton(asset: str) -> str:
    """Return a text that is the same for all assets that look alike. Not for people to read."""
    return "".join(min(_lookalikes(c)) for c in unicodedata.normalize("NFKC", asset))


def _latin(character: str) -> str:
    if character.isascii():
        return character
    latin = [c for c in _lookalikes(character) if c.isascii() and c.isalnum()]
    return max(latin, key=str.isupper, default=character).upper()


@lru_cache(MAX_REMEMBERED)
def _lookalikes(character: str) -> Sequence[str]:
    """Return all characters that look like this one, and itself, in order.

    The list has pairs of a character and the most common one it looks like, so everything is at
    most two steps away.
    """
    from confusable_homoglyphs.confusables import (  # noqa: PLC0415 - 900 KB, for few symbols
        confusables_data,
    )

    found = {character}
    for _ in range(2):
        pairs = (pair for c in tuple(found) for pair in confusables_data.get(c, ()))
        found |= {pair["c"] for pair in pairs if len(pair["c"]) == 1}
    return sorted(found)
