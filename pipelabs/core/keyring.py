"""The key ring, and the keys derived from it or from the secret key."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask

KEY_BYTES = 32
"""The size of AES-256 and HMAC-SHA256 keys."""
MAX_VERSION = 65_535
"""An envelope stores the version of its key-encryption key in two bytes."""
MAX_DIGITS = 100
"""Python does not convert a text of thousands of digits."""
WELL_KNOWN_KEYS = frozenset(
    bytes.fromhex(key)
    for key in (
        # https://csrc.nist.gov/pubs/sp/800/38/a/final, F.1.5
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        # https://www.rfc-editor.org/rfc/rfc8439, A.3
        "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
    )
)
"""Keys of published test vectors, which examples are copied from."""
WELL_KNOWN_WORDS = (b"change", b"default", b"example", b"insecure", b"password", b"secret")
MIN_DIFFERENT = 8
"""Different bytes, and different steps from one byte to the next; random keys have more than 20."""
NEW_RING = (
    "python3 -c 'import base64, os; print(\"1:\" + base64.b64encode(os.urandom(32)).decode())'"
)
AUDIT_LABEL = "pipelabs/audit-mac/v1"


class MalformedRing(ValueError):
    """The text of the key ring is malformed; the message never quotes a key."""


@dataclass(frozen=True)
class Key:
    """A derived key, and the version that rows refer to it by."""

    version: str
    secret: bytes = field(repr=False)


def derive(root: bytes, label: str) -> bytes:
    """Return the 32-byte key for `label` (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=label.encode()).derive(root)


def parse_ring(text: str) -> dict[int, bytes]:
    """Return version → key from `2:<base64>,1:<base64>`, the key to encrypt with first.

    Raise `MalformedRing` for a wrong format or size, a version or a key that is listed twice, or an
    example key.
    """
    ring: dict[int, bytes] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        version, _, encoded = part.partition(":")
        is_number = version.isascii() and version.isdigit()
        if not (is_number and 1 <= int(version[:MAX_DIGITS]) <= MAX_VERSION):
            raise MalformedRing("each key must be VERSION:BASE64 with a VERSION from 1 to 65535")
        number, key = int(version), _decode(encoded, int(version))
        if number in ring:
            raise MalformedRing(f"version {number} is listed twice")
        if twin := next((other for other in ring if ring[other] == key), None):
            raise MalformedRing(f"versions {twin} and {number} have the same key")
        ring[number] = key
    if text.strip() and not ring:
        raise MalformedRing("it contains no key")
    return ring


def derive_audit_keys(ring: Mapping[int, bytes], secret_key: str) -> list[Key]:
    """Return the keys for the MACs of audit rows, the one to sign with first.

    They are derived from each key of the ring, and from the secret key, which signs if there is no
    ring. A version identifies the root: `v2` is version 2 of the ring, `s3f9c21ab` a secret key by
    32 bits of a hash.
    """
    keys = [Key(f"v{version}", derive(root, AUDIT_LABEL)) for version, root in ring.items()]
    root = secret_key.encode()
    name = hashlib.sha256(derive(root, f"{AUDIT_LABEL}/name")).hexdigest()[:8]
    return [*keys, Key(f"s{name}", derive(root, AUDIT_LABEL))]


def parse_previous_keys(text: str) -> list[Key]:
    """Return the audit keys of earlier settings: lines `VAULT_KEYS=…` and `SECRET_KEY=…`.

    Raise `MalformedRing` for any other line, or as `parse_ring`.
    """
    keys: list[Key] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, _, value = line.partition("=")
        if name not in {"VAULT_KEYS", "SECRET_KEY"} or not value:
            raise MalformedRing("each line must be VAULT_KEYS=… or SECRET_KEY=…")
        if name == "VAULT_KEYS":
            # Without the last one: there is no secret key, and anybody can derive one from "".
            keys += derive_audit_keys(parse_ring(value), "")[:-1]
        else:
            keys += derive_audit_keys({}, value)
    return keys


def init_app(app: Flask) -> None:
    """Parse the key ring; raise `MalformedRing` with a working example if it is malformed."""
    try:
        ring = parse_ring(app.config["VAULT_KEYS"])
    except MalformedRing as error:
        raise MalformedRing(
            f"VAULT_KEYS: {error}. To create a key ring, set it to the output of: {NEW_RING}"
        ) from None
    app.extensions["pipelabs.key_ring"] = ring
    app.extensions["pipelabs.audit_keys"] = derive_audit_keys(ring, app.config["SECRET_KEY"])


def _decode(encoded: str, version: int) -> bytes:
    """Return the 32 bytes of the key."""
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRing(f"the key of version {version} is not base64") from None
    if len(key) != KEY_BYTES:
        raise MalformedRing(f"the key of version {version} has {len(key)} bytes, not {KEY_BYTES}")
    if _is_example(key):
        raise MalformedRing(f"the key of version {version} is an example, not a random key")
    return key


def _is_example(key: bytes) -> bool:
    """Return whether the key was typed, counted or copied. Of random keys, fewer than 1 in 10¹⁰."""
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    has_period = any(key[period:] == key[:-period] for period in range(1, KEY_BYTES // 2 + 1))
    return (
        min(len(set(key)), len(steps)) < MIN_DIFFERENT
        or has_period
        or key in WELL_KNOWN_KEYS
        or any(word in key.lower() for word in WELL_KNOWN_WORDS)
    )
