import base64
import os
import shlex
import subprocess
import sys

import pytest

from pipelabs.core.keyring import (
    NEW_RING,
    WELL_KNOWN_KEYS,
    Key,
    MalformedRing,
    derive,
    derive_audit_keys,
    parse_previous_keys,
    parse_ring,
)
from tests.each import each

ONE = bytes.fromhex("8f4b0c2e9d7a51636b1f0e8d3c2a7795e1d04c86fa19b3025e7d6a48c3f01b92")
TWO = bytes.fromhex("0d91c7e25a38f4461bb8730edc5f2a9164ef8007d3a95c1240b6fe7d29c81385")
SECRET = "vC1eWq8zJx0TfN5uYb7RkLmPd3HsGa9oQ4iEw6Zt"


def encoded(key):
    return base64.b64encode(key).decode()


def test_derive_is_hkdf_sha256():
    key = derive(ONE, "pipelabs/audit-mac/v1")

    assert key.hex() == "1e06756fb1215108366f44436e6423a69831bb2b936dfe223e20b6ca0dcd21cb"


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


FORM = "each key must be VERSION:BASE64 with a VERSION from 1 to 65535"
EXAMPLE = "the key of version 1 is an example, not a random key"


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
        (f"0:{encoded(ONE)}", FORM),
        (f"00:{encoded(ONE)}", FORM),
        (f"65536:{encoded(ONE)}", FORM),
        (f"123456:{encoded(ONE)}", FORM),
        (f"1{'0' * 5_000}:{encoded(ONE)}", FORM),
        (f"1:{encoded(ONE)},2:{encoded(ONE)}", "versions 1 and 2 have the same key"),
        (
            f"3:{encoded(ONE)},2:{encoded(TWO)},1:{encoded(ONE)}",
            "versions 3 and 1 have the same key",
        ),
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
    ],
)
def test_parse_ring_rejects_a_malformed_ring_without_quoting_it(text, sentence):
    with pytest.raises(MalformedRing) as raised:
        parse_ring(text)

    assert str(raised.value) == sentence


@each(
    "key",
    [
        bytes(32),
        b"\xff" * 32,
        b"\xde\xad\xbe\xef" * 8,
        b"secret" * 5 + b"se",
        b"12345678901234567890123456789012",
        b"0123456789abcdef0123456789abcdef",
        b"1234567890abcdefghijklmnopqrstuv",
        b"abcdefghijklmnopqrstuvwxyzABCDEF",
        bytes(range(32)),
        bytes(range(255, 223, -1)),
        bytes(range(0, 224, 7)),
        bytes(31) + b"\x01",
        b"Change-me-before-the-first-start",
        b"my very own vault password, 2026",
        *WELL_KNOWN_KEYS,
    ],
)
def test_parse_ring_rejects_example_keys(key):
    with pytest.raises(MalformedRing, match=f"^{EXAMPLE}$"):
        parse_ring(f"1:{encoded(key)}")


def test_parse_ring_takes_random_keys_of_the_lowest_and_the_highest_version():
    for _ in range(1_000):
        low, high = os.urandom(32), os.urandom(32)
        assert parse_ring(f"65535:{encoded(high)},1:{encoded(low)}") == {65_535: high, 1: low}


def test_new_ring_prints_a_valid_ring():
    words = shlex.split(NEW_RING)[1:]

    text = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)

    assert list(parse_ring(text.stdout)) == [1]


def test_derive_audit_keys_signs_with_the_first_key_of_the_ring():
    first, *others = derive_audit_keys({2: TWO, 1: ONE}, SECRET)

    assert first == Key("v2", derive(TWO, "pipelabs/audit-mac/v1"))
    assert others == [
        Key("v1", derive(ONE, "pipelabs/audit-mac/v1")),
        *derive_audit_keys({}, SECRET),
    ]


def test_derive_audit_keys_without_a_ring_uses_the_secret_key():
    [key] = derive_audit_keys({}, SECRET)

    assert key.secret == derive(SECRET.encode(), "pipelabs/audit-mac/v1")


def test_derive_audit_keys_returns_another_version_for_each_secret_key():
    secrets = (SECRET, SECRET[::-1], SECRET * 2)
    names = {key.version for secret in secrets for key in derive_audit_keys({}, secret)}

    assert len(names) == 3
    assert all(name.startswith("s") and len(name) == 9 for name in names)


def test_parse_previous_keys_reads_rings_and_secret_keys():
    keys = parse_previous_keys(
        f"VAULT_KEYS=2:{encoded(TWO)},1:{encoded(ONE)}\n\n  SECRET_KEY={SECRET}=\n"
    )

    assert keys == derive_audit_keys({2: TWO, 1: ONE}, f"{SECRET}=")
    assert parse_previous_keys("") == []


def test_parse_previous_keys_derives_no_key_from_nothing():
    anybodys = derive_audit_keys({}, "")[0]

    assert anybodys not in parse_previous_keys(f"VAULT_KEYS=1:{encoded(ONE)}")


@each(
    ("text", "sentence"),
    [
        (SECRET, "each line must be VAULT_KEYS=… or SECRET_KEY=…"),
        ("SECRET_KEY=", "each line must be VAULT_KEYS=… or SECRET_KEY=…"),
        ("PASSWORD=x", "each line must be VAULT_KEYS=… or SECRET_KEY=…"),
        ("VAULT_KEYS=1:x", "the key of version 1 is not base64"),
    ],
)
def test_parse_previous_keys_rejects_other_lines_without_quoting_them(text, sentence):
    with pytest.raises(MalformedRing) as raised:
        parse_previous_keys(text)

    assert str(raised.value) == sentence


def test_key_repr_shows_the_version_but_not_the_secret():
    key = Key("v1", os.urandom(32))

    assert f"{key} {key!r}" == "Key(version='v1') Key(version='v1')"
