"""The key ring, and the keys derived from it or from the secret key."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask

KEY_BYTES = 32
"""The size of AES-256 and HMAC-SHA256 keys."""
MAX_VERSION = 65_535
"""An envelope stores the version of its key-encryption key in two bytes."""
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

    Raise `MalformedRing` for a wrong format or size, a duplicate version, or an example key.
    """
    ring: dict[int, bytes] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        version, _, encoded = part.partition(":")
        if not (version.isascii() and version.isdigit() and int(version[:6]) <= MAX_VERSION):
            raise MalformedRing("each key must be VERSION:BASE64 with a VERSION up to 65535")
        if int(version) in ring:
            raise MalformedRing(f"version {int(version)} is listed twice")
        ring[int(version)] = _decode(encoded, int(version))
    if text.strip() and not ring:
        raise MalformedRing("it contains no key")
    return ring


def derive_audit_key(ring: dict[int, bytes], secret_key: str) -> Key:
    """Return the key for the MAC of audit rows, from the ring's first key, else the secret key.

    Its version identifies the root: `v2` is version 2 of the ring, `s3f9c21ab` a secret key by 32
    bits of a hash.
    """
    for version, root in ring.items():
        return Key(f"v{version}", derive(root, AUDIT_LABEL))
    root = secret_key.encode()
    name = hashlib.sha256(derive(root, f"{AUDIT_LABEL}/name")).hexdigest()[:8]
    return Key(f"s{name}", derive(root, AUDIT_LABEL))


def init_app(app: Flask) -> None:
    """Parse the key ring; raise `MalformedRing` with a working example if it is malformed."""
    try:
        ring = parse_ring(app.config["VAULT_KEYS"])
    except MalformedRing as error:
        raise MalformedRing(
            f"VAULT_KEYS: {error}. To create a key ring, set it to the output of: {NEW_RING}"
        ) from None
    app.extensions["pipelabs.key_ring"] = ring
    app.extensions["pipelabs.audit_key"] = derive_audit_key(ring, app.config["SECRET_KEY"])


def _decode(encoded: str, version: int) -> bytes:
    """Return the 32 bytes of the key; one with few different bytes is an example key."""
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRing(f"the key of version {version} is not base64") from None
    if len(key) != KEY_BYTES:
        raise MalformedRing(f"the key of version {version} has {len(key)} bytes, not {KEY_BYTES}")
    if len(set(key)) < 8:
        raise MalformedRing(f"the key of version {version} is an example, not a random key")
    return key
