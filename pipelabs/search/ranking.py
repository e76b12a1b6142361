"""How well something fits what was typed."""

import re
from enum import IntEnum

from pipelabs.search.terms import Terms

WORD = re.compile(r"[^\W_]+")


class Rank(IntEnum):
    """How well a label fits, the best last."""

    OTHER = 0
    """Something that the label does not show, such as a part of an e-mail address."""
    CONTAINED = 1
    """Each word is part of the label."""
    WORDS = 2
    """Each word begins a word of the label or its detail."""
    BEGINNING = 3
    """The label begins with the text."""
    IDENTIFIED = 4
    """Another name of it, as a whole: its e-mail address, its last four characters, its id."""
    EXACT = 5
    """The label itself."""


def rank(terms: Terms, label: str, detail: str = "", names: tuple[str, ...] = ()) -> Rank:
    """Return how well a label, its second line and its other names fit the terms."""
    own, texts = label.lower(), {terms.text, terms.symbol}
    if own in texts:
        return Rank.EXACT
    if texts.intersection(names) or terms.last_characters in names:
        return Rank.IDENTIFIED
    if own.startswith(tuple(texts)):
        return Rank.BEGINNING
    parts = WORD.findall(f"{own} {detail.lower()}")
    typed = WORD.findall(" ".join(terms.words))
    if typed and all(any(part.startswith(word) for part in parts) for word in typed):
        return Rank.WORDS
    return Rank.CONTAINED if all(word in own for word in terms.words) else Rank.OTHER
