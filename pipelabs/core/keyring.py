"""The key ring, and every key derived from it or from the secret key."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask

from pipelabs.core.settings import resource

KEY_BYTES = 32
"""AES-256 and HMAC-SHA256 keys alike."""
MAX_VERSION = 65_535
"""An envelope names its key-encryption key in two bytes."""
NEW_RING = (
    "python3 -c 'import base64, os; print(\"1:\" + base64.b64encode(os.urandom(32)).decode())'"
)
AUDIT_LABEL = "pipelabs/audit-mac/v1"


class MalformedRing(ValueError):
    """The key ring's text is wrong; the message says how, and never quotes a key."""


@dataclass(frozen=True)
class Key:
    """A derived key and the version under which rows name it."""

    version: str
    secret: bytes = field(repr=False)


def derive(root: bytes, label: str) -> bytes:
    """Return a 32-byte key of its own for `label` (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=label.encode()).derive(root)


def parse_ring(text: str) -> dict[int, bytes]:
    """Return version → key, the writing key first, from `2:<base64>,1:<base64>`.

    Raise `MalformedRing` on a wrong form or size, a version named twice, or an example's key.
    """
    ring: dict[int, bytes] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        version, _, encoded = part.partition(":")
        if not (version.isascii() and version.isdigit() and int(version[:6]) <= MAX_VERSION):
            raise MalformedRing("each key is written VERSION:BASE64, VERSION up to 65535")
        if int(version) in ring:
            raise MalformedRing(f"version {int(version)} is named twice")
        ring[int(version)] = _decoded(encoded, int(version))
    if text.strip() and not ring:
        raise MalformedRing("there is no key in it")
    return ring


def audit_key(ring: dict[int, bytes], secret_key: str) -> Key:
    """Return the key that signs audit rows: from the ring's first key, else the secret key.

    The version lets a later reader find the key again: `v2` is the ring's second version,
    `s3f9c21ab` a secret key by the first 32 bits of its derived name.
    """
    for version, root in ring.items():
        return Key(f"v{version}", derive(root, AUDIT_LABEL))
    root = secret_key.encode()
    name = hashlib.sha256(derive(root, f"{AUDIT_LABEL}/name")).hexdigest()[:8]
    return Key(f"s{name}", derive(root, AUDIT_LABEL))


def current_audit_key() -> Key:
    """Return the running application's key for audit rows."""
    key: Key = resource("audit_key")
    return key


def init_app(app: Flask) -> None:
    """Parse the key ring once; a malformed one stops the start."""
    try:
        ring = parse_ring(app.config["VAULT_KEYS"])
    except MalformedRing as error:
        raise MalformedRing(
            f"VAULT_KEYS: {error}; for a new ring set it to the output of: {NEW_RING}"
        ) from None
    app.extensions["pipelabs.key_ring"] = ring
    app.extensions["pipelabs.audit_key"] = audit_key(ring, app.config["SECRET_KEY"])


def _decoded(encoded: str, version: int) -> bytes:
    """Return the key's 32 bytes; a key of too few different bytes is somebody's example."""
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRing(f"the key of version {version} is not base64") from None
    if len(key) != KEY_BYTES:
        raise MalformedRing(f"the key of version {version} has {len(key)} bytes, not {KEY_BYTES}")
    if len(set(key)) < 8:
        raise MalformedRing(f"the key of version {version} is an example, not a random key")
    return key
