import statistics
import time

import pytest

from pipelabs.accounts.passwords import hash_password, is_right, one_time, weakness
from tests.each import each
from tests.factories import PASSWORD

EMAIL = "margaret.hamilton@desk.local"
LENGTH = "A password has 12 to 128 characters."
COMMON = "This password is on the lists that attackers try first."
NAMES = "This password is little more than the product's name or the e-mail address."
REPEATS = "This password repeats a few characters."


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
        ("pipelabs is where tea is served", ""),
        ("ababababababab", REPEATS),
        ("xyz!xyz!xyz!", REPEATS),
        ("zzzzzzzzzzzzzzz", REPEATS),
    ],
)
def test_a_password_is_taken_or_refused_with_a_sentence(password, sentence):
    assert weakness(password, EMAIL) == sentence


@each(
    "password",
    ["123456789012", "987654321098", "abcdefghijkl", "passwordpassword", "adminadminadmin"],
)
def test_counting_and_doubled_words_are_no_passwords(password):
    assert weakness(password, EMAIL) in {COMMON, REPEATS}


def test_a_short_name_in_the_address_forbids_no_password():
    assert weakness("along the river", "al@desk.local") == ""


def test_the_product_and_the_common_list_are_known_in_every_case():
    assert weakness("PIPELABS12345", EMAIL) == NAMES
    assert weakness("QWERTYUIOP!!", EMAIL) == COMMON


def test_a_hash_is_argon2id_with_the_parameters_of_owasp():
    assert hash_password(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_two_hashes_of_one_password_differ_and_both_fit():
    hashes = [hash_password(PASSWORD), hash_password(PASSWORD)]

    assert len(set(hashes)) == 2
    assert all(is_right(PASSWORD, one) for one in hashes)


@each("other", [PASSWORD[:-1], f"{PASSWORD} ", PASSWORD.lower(), "", "\0"])
def test_another_password_does_not_fit(other):
    assert is_right(other, hash_password(PASSWORD)) is False


def test_a_password_is_one_whichever_keyboard_it_was_typed_on():
    composed, decomposed = "Zürich-im-Regen-7", "Zu\u0308rich-im-Regen-7"

    assert is_right(decomposed, hash_password(composed)) is True


def test_the_whole_of_a_long_password_counts():
    password = "x" * 127

    assert is_right(f"{password}a", hash_password(f"{password}b")) is False


def test_without_a_hash_no_password_fits():
    assert is_right(PASSWORD, None) is False


@pytest.mark.slow
def test_an_unknown_account_takes_as_long_as_a_wrong_password():
    known = hash_password("another-long-evening")

    wrong = statistics.median(seconds_of(lambda: is_right(PASSWORD, known)) for _ in range(5))
    nobody = statistics.median(seconds_of(lambda: is_right(PASSWORD, None)) for _ in range(5))

    assert 0.4 < wrong / nobody < 2.5


def test_a_password_for_once_can_be_read_out_and_is_never_weak():
    found = {one_time() for _ in range(100)}

    assert len(found) == 100
    assert all(weakness(one, "owner@desk.local") == "" for one in found)
    assert not set("".join(found)) & set("il1o0")
