"""Passwords: hashing, checking, and which ones are too common to take."""

import os
import secrets
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path
from threading import BoundedSemaphore

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SHORTEST, LONGEST = 12, 128
"""Code points; length in place of composition rules (NIST SP 800-63B-4, 3.1.1.2)."""
COMMON = Path(__file__).with_name("common_passwords.txt")
PRODUCT_WORDS = ("pipelabs", "marketmaker")
UNMISTAKABLE = "abcdefghjkmnpqrstuvwxyz23456789"
"""No letter or digit that is taken for another."""
_hashing = BoundedSemaphore(4)
"""19 MiB each: a flood of sign-ins waits here in place of filling the memory."""


def hash_password(password: str) -> str:
    """Return the argon2id hash in PHC form (OWASP's first choice: 19 MiB, 2 passes, 1 lane)."""
    with _hashing:
        return _argon2().derive_phc_encoded(_normal(password).encode())


def verify_password(password: str, password_hash: str | None) -> bool:
    """Return whether the password fits; without a hash it takes the same time and is False."""
    with _hashing:
        try:
            Argon2id.verify_phc_encoded(
                _normal(password).encode(), password_hash or _hash_of_nobody()
            )
        except InvalidKey:
            return False
    return password_hash is not None


def generate_one_time_password() -> str:
    """Return a random password to be read out and typed once: 20 characters, 98 bits."""
    letters = "".join(secrets.choice(UNMISTAKABLE) for _ in range(20))
    return "-".join(letters[at : at + 5] for at in range(0, 20, 5))


def find_weakness(password: str, email: str) -> str:
    """Return why the password cannot be taken, as a sentence; nothing if it can."""
    normal = _normal(password)
    if not SHORTEST <= len(normal) <= LONGEST:
        return f"A password has {SHORTEST} to {LONGEST} characters."
    folded = normal.casefold()
    core = folded.strip("0123456789!@#$%^&*()_-+=.,?/ ")
    if folded in _common() or core in _common() or _is_counting(folded):
        return "This password is on the lists that attackers try first."
    words = (*PRODUCT_WORDS, email.partition("@")[0].casefold())
    if any(len(word) > 3 and word in folded and len(core) < len(word) + 6 for word in words):
        return "This password is little more than the product's name or the e-mail address."
    if any(_is_repeating(folded, size) for size in range(1, len(folded) // 2 + 1)):
        return "This password repeats a few characters."
    return ""


def _is_counting(text: str) -> bool:
    """Return whether each character is the next, or the one before; after 9 comes 0."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return steps <= {1, -9} or steps <= {-1, 9}


def _is_repeating(text: str, size: int) -> bool:
    return text == (text[:size] * len(text))[: len(text)]


def _normal(password: str) -> str:
    """Return one form for one password, whichever keyboard it was typed on (NFKC)."""
    return unicodedata.normalize("NFKC", password)


@cache
def _common() -> frozenset[str]:
    lines = COMMON.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@cache
def _hash_of_nobody() -> str:
    return _argon2().derive_phc_encoded(os.urandom(16))


def _argon2() -> Argon2id:
    return Argon2id(salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=19_456)
