import statistics
import time

import pytest

from pipelabs.accounts.passwords import (
    find_weakness,
    generate_one_time_password,
    hash_password,
    verify_password,
)
from tests.each import each
from tests.factories import PASSWORD

EMAIL = "margaret.hamilton@desk.local"
LENGTH = "A password must have 12 to 128 characters."
COMMON = "This password is too common. Choose another one."
NAMES = "This password is too close to the product name or your e-mail address."
REPEATS = "This password only repeats a few characters."


def seconds_of(work):
    started = time.thread_time()
    work()
    return time.thread_time() - started


@each(
    ("password", "sentence"),
    [
        ("", LENGTH),
        ("elevenchars", LENGTH),
        ("twelve-chars", ""),
        ("木村は夕方に海辺を歩いた。", ""),
        ("👩‍💻 walks home", ""),
        (PASSWORD * 5 + "x" * 13, ""),
        (PASSWORD * 5 + "x" * 14, LENGTH),
        ("no rules of composition", ""),
        ("password1234", COMMON),
        ("PASSWORD!2026", COMMON),
        ("1234567890123", COMMON),
        ("qwertyuiop12", COMMON),
        ("\uff50assword\uff11234", COMMON),
        ("pipelabs2026!", NAMES),
        ("PipeLabs-desk-1", NAMES),
        ("marketmaker99", NAMES),
        ("margaret.hamilton", NAMES),
        ("Margaret.Hamilton1969", NAMES),
        ("margaret.hamilton@desk.local", NAMES),
        ("Margaret.Hamilton@Desk.Local!", NAMES),
        ("desk.local-2026", NAMES),
        ("pipelabs is where tea is served", ""),
        ("ababababababab", REPEATS),
        ("xyz!xyz!xyz!", REPEATS),
        ("zzzzzzzzzzzzzzz", REPEATS),
    ],
)
def test_find_weakness_returns_a_sentence_or_nothing(password, sentence):
    assert find_weakness(password, EMAIL) == sentence


@each(
    "password",
    ["123456789012", "987654321098", "abcdefghijkl", "passwordpassword", "adminadminadmin"],
)
def test_find_weakness_rejects_sequences_and_repeated_words(password):
    assert find_weakness(password, EMAIL) in {COMMON, REPEATS}


def test_find_weakness_ignores_short_local_parts():
    assert find_weakness("along the river", "al@desk.local") == ""
    assert find_weakness("al@desk.local", "al@desk.local") == NAMES


def test_find_weakness_ignores_case():
    assert find_weakness("PIPELABS12345", EMAIL) == NAMES
    assert find_weakness("QWERTYUIOP!!", EMAIL) == COMMON


def test_hash_password_uses_argon2id_with_owasp_parameters():
    assert hash_password(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_hash_password_is_salted():
    hashes = [hash_password(PASSWORD), hash_password(PASSWORD)]

    assert len(set(hashes)) == 2
    assert all(verify_password(PASSWORD, one) for one in hashes)


@each("other", [PASSWORD[:-1], f"{PASSWORD} ", PASSWORD.lower(), "", "\0"])
def test_verify_password_rejects_other_passwords(other):
    assert verify_password(other, hash_password(PASSWORD)) is False


def test_verify_password_ignores_unicode_composition():
    composed, decomposed = "Zürich-im-Regen-7", "Zu\u0308rich-im-Regen-7"

    assert verify_password(decomposed, hash_password(composed)) is True


def test_verify_password_compares_the_whole_password():
    password = "x" * 127

    assert verify_password(f"{password}a", hash_password(f"{password}b")) is False


def test_verify_password_without_a_hash_is_false():
    assert verify_password(PASSWORD, None) is False


@pytest.mark.slow
def test_verify_password_takes_the_same_time_without_a_hash():
    known = hash_password("another-long-evening")

    def median_s(password_hash):
        times = (seconds_of(lambda: verify_password(PASSWORD, password_hash)) for _ in range(5))
        return statistics.median(times)

    assert 0.4 < median_s(known) / median_s(None) < 2.5


def test_one_time_passwords_are_unambiguous_and_strong():
    found = {generate_one_time_password() for _ in range(100)}

    assert len(found) == 100
    assert all(find_weakness(one, "owner@desk.local") == "" for one in found)
    assert not set("".join(found)) & set("il1o0")
