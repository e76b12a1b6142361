import base64
import os
import shlex
import subprocess
import sys

import pytest

from pipelabs.core.keyring import NEW_RING, Key, MalformedRing, derive, derive_audit_key, parse_ring
from tests.each import each

ONE = b"12345678901234567890123456789012"
TWO = b"abcdefghijklmnopqrstuvwxyzABCDEF"
SECRET = "vC1eWq8zJx0TfN5uYb7RkLmPd3HsGa9oQ4iEw6Zt"


def encoded(key):
    return base64.b64encode(key).decode()


def test_derive_is_hkdf_sha256():
    key = derive(ONE, "pipelabs/audit-mac/v1")

    assert key.hex() == "111b8a64ebde679c31df5c1bc9fdc6b134fac2cf30a55fc7322632b20caa98b3"


def test_derive_returns_another_key_for_each_label_and_root():
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
def test_parse_ring_returns_the_encrypting_key_first(text, ring):
    assert list(parse_ring(text).items()) == list(ring.items())


FORM = "each key must be VERSION:BASE64 with a VERSION up to 65535"


@each(
    ("text", "sentence"),
    [
        (encoded(ONE), FORM),
        (" , ", "it contains no key"),
        (f":{encoded(ONE)}", FORM),
        (f"one:{encoded(ONE)}", FORM),
        (f"-1:{encoded(ONE)}", FORM),
        (f"1.0:{encoded(ONE)}", FORM),
        (f"²:{encoded(ONE)}", FORM),
        (f"٣:{encoded(ONE)}", FORM),
        (f"123456:{encoded(ONE)}", FORM),
        (f"1:{encoded(ONE)},1:{encoded(TWO)}", "version 1 is listed twice"),
        (f"1:{encoded(ONE)},01:{encoded(TWO)}", "version 1 is listed twice"),
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
def test_parse_ring_rejects_a_malformed_ring_without_quoting_it(text, sentence):
    with pytest.raises(MalformedRing) as raised:
        parse_ring(text)

    assert str(raised.value) == sentence


def test_new_ring_prints_a_valid_ring():
    words = shlex.split(NEW_RING)[1:]

    text = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)

    assert list(parse_ring(text.stdout)) == [1]


def test_derive_audit_key_uses_the_first_key_of_the_ring():
    key = derive_audit_key({2: TWO, 1: ONE}, SECRET)

    assert key == Key("v2", derive(TWO, "pipelabs/audit-mac/v1"))


def test_derive_audit_key_without_a_ring_uses_the_secret_key():
    key = derive_audit_key({}, SECRET)

    assert key.secret == derive(SECRET.encode(), "pipelabs/audit-mac/v1")
    assert key == derive_audit_key({}, SECRET)


def test_derive_audit_key_returns_another_version_for_each_secret_key():
    names = {derive_audit_key({}, secret).version for secret in (SECRET, SECRET[::-1], SECRET * 2)}

    assert len(names) == 3
    assert all(name.startswith("s") and len(name) == 9 for name in names)


def test_key_repr_shows_the_version_but_not_the_secret():
    key = Key("v1", os.urandom(32))

    assert f"{key} {key!r}" == "Key(version='v1') Key(version='v1')"
