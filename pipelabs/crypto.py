"""The key ring, and every key derived from it or from the secret key."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask, current_app

from pipelabs.errors import Unavailable
from pipelabs.sealing import KEY_BYTES, Secret, Vault

HIGHEST_VERSION = 65_535
"""A sealed secret names its key in two bytes."""
NEW_RING = (
    "python3 -c 'import base64, os; print(\"1:\" + base64.b64encode(os.urandom(32)).decode())'"
)
AUDIT_LABEL = "pipelabs/audit-mac/v1"
FINGERPRINT_LABEL = "pipelabs/fingerprint/v1"
WRAP_LABEL = "pipelabs/vault-wrap/v1"


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
        if not (version.isascii() and version.isdigit() and int(version[:6]) <= HIGHEST_VERSION):
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
    key: Key = current_app.extensions["pipelabs.audit_key"]
    return key


def vault() -> Vault:
    """Return the running application's vault; raise `Unavailable` where there is no ring."""
    if not ring_versions():
        raise Unavailable(
            "API keys cannot be sealed or opened here: VAULT_KEYS is not set.",
            code="vault_not_configured",
        )
    return _vault()


def ring_versions() -> tuple[int, ...]:
    """Return the versions of the ring, the writing one first; none where there is no ring."""
    return _vault().versions


def fingerprint(exchange: str, api_key: Secret) -> bytes:
    """Return the keyed hash by which the same key is found again, without opening any.

    Keyed by the secret key, not by the ring, so that a rotation of the ring changes none.
    """
    key = derive(current_app.config["SECRET_KEY"].encode(), FINGERPRINT_LABEL)
    return hmac.digest(key, f"{exchange}\0{api_key.text}".encode(), hashlib.sha256)


def init_app(app: Flask) -> None:
    """Load the ring once; a malformed one stops the start."""
    try:
        ring = parse_ring(app.config["VAULT_KEYS"])
    except MalformedRing as error:
        raise MalformedRing(
            f"VAULT_KEYS: {error}; for a new ring set it to the output of: {NEW_RING}"
        ) from None
    app.extensions["pipelabs.vault"] = Vault(
        {version: derive(root, WRAP_LABEL) for version, root in ring.items()}
    )
    app.extensions["pipelabs.audit_key"] = audit_key(ring, app.config["SECRET_KEY"])


def _vault() -> Vault:
    found: Vault = current_app.extensions["pipelabs.vault"]
    return found


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
