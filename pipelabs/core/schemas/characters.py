"""Which characters any text may contain."""

import unicodedata

from marshmallow import ValidationError

REJECTED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
JOINERS = frozenset("\u200c\u200d")
"""Format characters used in words (Persian, Indic) and emoji; allowed between visible ones."""
BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Characters that Unicode counts as letters or symbols but that are invisible."""
CONTROL_NAMES = {"\0": "NUL", "\t": "TAB", "\n": "LINE BREAK", "\r": "CARRIAGE RETURN"}
"""Unicode has no names for these."""


def is_visible(character: str) -> bool:
    """Return whether the character is visible: a letter, number, punctuation mark or symbol."""
    return unicodedata.category(character)[0] in "LNPS" and character not in BLANKS


def reject_characters(text: str, allowed: str = "") -> None:
    """Raise a `ValidationError` naming the first character that is not allowed in text.

    These are NUL, control, bidirectional override, private, unassigned and lone surrogate
    characters. A joiner is allowed between visible characters. Call it before bleach, which drops
    NUL silently.
    """
    if text.isascii() and text.isprintable():
        return
    for place, character in enumerate(text):
        if character in allowed or unicodedata.category(character) not in REJECTED_CATEGORIES:
            continue
        between = text[place - 1 : place] + text[place + 1 : place + 2]
        if character in JOINERS and len(between) == 2 and all(map(_can_be_joined, between)):
            continue
        name = CONTROL_NAMES.get(character) or unicodedata.name(character, "")
        code = f"U+{ord(character):04X}{name and f', {name}'}"
        raise ValidationError(f"Character {place + 1} is not allowed: {code}. Remove it.")


def _can_be_joined(character: str) -> bool:
    """Return whether the character is visible, or a mark of a letter or an emoji."""
    return is_visible(character) or unicodedata.category(character)[0] == "M"
