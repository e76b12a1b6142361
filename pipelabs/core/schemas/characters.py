"""Which characters a text may hold, whatever the text is for."""

import unicodedata

from marshmallow import ValidationError

REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
JOINERS = frozenset("\u200c\u200d")
"""Format characters that spell words (Persian, Indic) and emoji; allowed between visible ones."""
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols by category that show nothing."""


def is_visible(character: str) -> bool:
    """Return whether a reader sees the character: a letter, number, sign or symbol."""
    return unicodedata.category(character)[0] in "LNPS" and character not in BLANKS


def reject_characters(text: str, allowed: str = "") -> None:
    """Raise a `ValidationError` naming the first character that no text may hold.

    NUL, controls, overrides of direction, private, unassigned and lone surrogate characters; a
    joiner is fine between visible characters. Done first: bleach drops NUL without a word.
    """
    if text.isascii() and text.isprintable():
        return
    for place, character in enumerate(text):
        if character in allowed or unicodedata.category(character) not in REFUSED_CATEGORIES:
            continue
        between = text[place - 1 : place] + text[place + 1 : place + 2]
        if character in JOINERS and len(between) == 2 and all(map(_can_be_joined, between)):
            continue
        name = unicodedata.name(character, "a character without a name")
        raise ValidationError(
            f"Character {place + 1} is not allowed: U+{ord(character):04X}, {name}."
        )


def _can_be_joined(character: str) -> bool:
    """Return whether it is visible, or a mark: a half letter's or an emoji's."""
    return is_visible(character) or unicodedata.category(character)[0] == "M"
