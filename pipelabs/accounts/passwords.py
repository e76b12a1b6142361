"""Passwords: hash, verify, generate, and detect weak ones."""

import os
import secrets
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path
from threading import BoundedSemaphore

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MIN_LENGTH, MAX_LENGTH = 12, 128
"""Code points. Length replaces composition rules (NIST SP 800-63B-4, 3.1.1.2)."""
COMMON = Path(__file__).with_name("common_passwords.txt")
PRODUCT_WORDS = ("pipelabs", "marketmaker")
UNAMBIGUOUS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters and digits that can't be confused with each other."""
_hashing = BoundedSemaphore(4)
"""Each hash takes 19 MiB, so many sign-ins at once wait here instead of filling the memory."""


def hash_password(password: str) -> str:
    """Return the argon2id hash in PHC form (OWASP's first choice: 19 MiB, 2 passes, 1 lane)."""
    with _hashing:
        return _argon2().derive_phc_encoded(_normalise(password).encode())


def verify_password(password: str, password_hash: str | None) -> bool:
    """Return whether the password matches. Without a hash, return False after the same time."""
    with _hashing:
        try:
            Argon2id.verify_phc_encoded(
                _normalise(password).encode(), password_hash or _dummy_hash()
            )
        except InvalidKey:
            return False
    return password_hash is not None


def generate_one_time_password() -> str:
    """Return a random password that is easy to read out: 20 characters, 98 bits."""
    characters = "".join(secrets.choice(UNAMBIGUOUS) for _ in range(20))
    return "-".join(characters[start : start + 5] for start in range(0, 20, 5))


def find_weakness(password: str, email: str) -> str:
    """Return a sentence that says why the password is weak; empty if it is not."""
    normalised = _normalise(password)
    if not MIN_LENGTH <= len(normalised) <= MAX_LENGTH:
        return f"A password must have {MIN_LENGTH} to {MAX_LENGTH} characters."
    folded = normalised.casefold()
    core = folded.strip("0123456789!@#$%^&*()_-+=.,?/ ")
    if folded in _common_passwords() or core in _common_passwords() or _is_sequence(folded):
        return "This password is too common. Choose another one."
    address = email.casefold()
    words = (*PRODUCT_WORDS, *address.split("@"), address)
    if any(len(word) > 3 and word in folded and len(core) < len(word) + 6 for word in words):
        return "This password is too close to the product name or your e-mail address."
    if any(_is_repeating(folded, size) for size in range(1, len(folded) // 2 + 1)):
        return "This password only repeats a few characters."
    return ""


def _is_sequence(text: str) -> bool:
    """Return whether the characters count up or down by one. 0 follows 9."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return steps <= {1, -9} or steps <= {-1, 9}


def _is_repeating(text: str, size: int) -> bool:
    return text == (text[:size] * len(text))[: len(text)]


def _normalise(password: str) -> str:
    """Return the NFKC form, so that a password does not depend on the keyboard."""
    return unicodedata.normalize("NFKC", password)


@cache
def _common_passwords() -> frozenset[str]:
    lines = COMMON.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@cache
def _dummy_hash() -> str:
    return _argon2().derive_phc_encoded(os.urandom(16))


def _argon2() -> Argon2id:
    return Argon2id(salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=19_456)
