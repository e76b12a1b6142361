import base64
import os
import shlex
import subprocess
import sys

import pytest

from pipelabs.core.keyring import NEW_RING, Key, MalformedRing, audit_key, derive, parse_ring
from tests.each import each

ONE = b"12345678901234567890123456789012"
TWO = b"abcdefghijklmnopqrstuvwxyzABCDEF"
SECRET = "vC1eWq8zJx0TfN5uYb7RkLmPd3HsGa9oQ4iEw6Zt"


def encoded(key):
    return base64.b64encode(key).decode()


def test_a_derived_key_is_hkdf_sha256_and_stays_so_for_ever():
    key = derive(ONE, "pipelabs/audit-mac/v1")

    assert key.hex() == "111b8a64ebde679c31df5c1bc9fdc6b134fac2cf30a55fc7322632b20caa98b3"


def test_every_label_and_every_root_has_a_key_of_its_own():
    keys = {derive(root, label) for root in (ONE, TWO) for label in ("a", "b", "")}

    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}


@each(
    ("text", "ring"),
    [
        ("", {}),
        (f"1:{encoded(ONE)}", {1: ONE}),
        (f" 2:{encoded(TWO)} , 1:{encoded(ONE)}, ", {2: TWO, 1: ONE}),
        (f"10:{encoded(ONE)},9:{encoded(TWO)}", {10: ONE, 9: TWO}),
    ],
)
def test_a_ring_is_read_with_the_writing_key_first(text, ring):
    assert list(parse_ring(text).items()) == list(ring.items())


FORM = "each key is written VERSION:BASE64, VERSION up to 65535"


@each(
    ("text", "sentence"),
    [
        (encoded(ONE), FORM),
        (" , ", "there is no key in it"),
        (f":{encoded(ONE)}", FORM),
        (f"one:{encoded(ONE)}", FORM),
        (f"-1:{encoded(ONE)}", FORM),
        (f"1.0:{encoded(ONE)}", FORM),
        (f"²:{encoded(ONE)}", FORM),
        (f"٣:{encoded(ONE)}", FORM),
        (f"123456:{encoded(ONE)}", FORM),
        (f"1:{encoded(ONE)},1:{encoded(TWO)}", "version 1 is named twice"),
        (f"1:{encoded(ONE)},01:{encoded(TWO)}", "version 1 is named twice"),
        ("1:", "the key of version 1 has 0 bytes, not 32"),
        ("1", "the key of version 1 has 0 bytes, not 32"),
        ("1:*not*base64*", "the key of version 1 is not base64"),
        ("1:ключ", "the key of version 1 is not base64"),
        (f"1:{encoded(ONE)[:-1]}", "the key of version 1 is not base64"),
        (
            "1:" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
            "the key of version 1 is not base64",
        ),
        (f"3:{encoded(ONE[:31])}", "the key of version 3 has 31 bytes, not 32"),
        (f"3:{encoded(ONE + b'x')}", "the key of version 3 has 33 bytes, not 32"),
        (f"1:{encoded(bytes(32))}", "the key of version 1 is an example, not a random key"),
        (
            f"1:{encoded(b'secret' * 5 + b'se')}",
            "the key of version 1 is an example, not a random key",
        ),
    ],
)
def test_a_malformed_ring_is_refused_without_a_word_of_it(text, sentence):
    with pytest.raises(MalformedRing) as refused:
        parse_ring(text)

    assert str(refused.value) == sentence


def test_the_ring_that_a_refusal_proposes_works():
    words = shlex.split(NEW_RING)[1:]

    text = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)

    assert list(parse_ring(text.stdout)) == [1]


def test_audit_rows_are_signed_under_the_rings_first_key():
    key = audit_key({2: TWO, 1: ONE}, SECRET)

    assert key == Key("v2", derive(TWO, "pipelabs/audit-mac/v1"))


def test_without_a_ring_they_are_signed_under_the_secret_key():
    key = audit_key({}, SECRET)

    assert key.secret == derive(SECRET.encode(), "pipelabs/audit-mac/v1")
    assert key == audit_key({}, SECRET)


def test_every_secret_key_gives_its_audit_key_a_name_of_its_own():
    names = {audit_key({}, secret).version for secret in (SECRET, SECRET[::-1], SECRET * 2)}

    assert len(names) == 3
    assert all(name.startswith("s") and len(name) == 9 for name in names)


def test_a_key_shows_its_version_and_never_its_secret():
    key = Key("v1", os.urandom(32))

    assert f"{key} {key!r}" == "Key(version='v1') Key(version='v1')"
