"""Seed phrases of wallets, which must never be stored or shown."""

import re
from functools import cache

from mnemonic import Mnemonic

MIN_WORDS = 12
"""BIP-39 has phrases of 12 to 24 words. Ordinary text has no 12 words of its list in a row."""
MIN_LENGTH = MIN_WORDS * 4 - 1
"""The shortest words of the list have three letters."""
WORD = re.compile(r"[a-z]+")
SEED_PHRASE = (
    "This looks like a seed phrase. Never paste one anywhere. Remove it, and move what it protects"
    " to a new wallet."
)


def has_seed_phrase(text: str) -> bool:
    """Return whether the text has 12 words of BIP-39's English list in a row.

    Numbers, punctuation and line breaks between the words do not matter.
    """
    if len(text) < MIN_LENGTH:
        return False
    count = 0
    for word in WORD.findall(text.lower()):
        count = count + 1 if word in _words() else 0
        if count == MIN_WORDS:
            return True
    return False


@cache
def _words() -> frozenset[str]:
    return frozenset(Mnemonic("english").wordlist)
