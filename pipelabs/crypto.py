"""The key ring, and every key derived from it or from the secret key."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask, current_app

from pipelabs.errors import Unavailable, Undecryptable

KEY_BYTES = 32
"""AES-256 and HMAC-SHA256 keys alike."""
HIGHEST_VERSION = 65_535
"""A sealed secret names its key in two bytes."""
NEW_RING = (
    "python3 -c 'import base64, os; print(\"1:\" + base64.b64encode(os.urandom(32)).decode())'"
)
AUDIT_LABEL = "pipelabs/audit-mac/v1"
FINGERPRINT_LABEL = "pipelabs/fingerprint/v1"
WRAP_LABEL = "pipelabs/vault-wrap/v1"
SEAL_LABEL = b"pipelabs/exkey/v1"
FORM = b"\x01"
"""First byte of what is sealed; another layout would begin with another."""
NONCE_BYTES, TAG_BYTES, VERSION_BYTES = 12, 16, 2
WRAPPED_END = len(FORM) + VERSION_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES
"""Where the wrapped data key ends and the ciphertext's nonce begins."""
ALTERED = "It cannot be opened: it was altered, or belongs to another record."


class MalformedRing(ValueError):
    """The key ring's text is wrong; the message says how, and never quotes a key."""


@dataclass(frozen=True)
class Key:
    """A derived key and the version under which rows name it."""

    version: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that no log, message or template can show by accident."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "Secret()"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a sealed text belongs to; moved to another record, client or field it does not open."""

    record: UUID
    client: UUID
    exchange: str
    field: str

    def data(self, *more: bytes) -> bytes:
        """Return the associated data: every part after its length, so that none can borrow."""
        own = (self.record.bytes, self.client.bytes, self.exchange.encode(), self.field.encode())
        return b"".join(len(part).to_bytes(2, "big") + part for part in (SEAL_LABEL, *own, *more))


@dataclass(frozen=True, slots=True)
class Sealed:
    """A text as it lies in the database: form, key version, wrapped data key, ciphertext."""

    blob: bytes = field(repr=False)

    @property
    def key_version(self) -> int:
        """Return the version of the ring's key that wraps it; the wrap proves that it is true."""
        return int.from_bytes(self.blob[len(FORM) : len(FORM) + VERSION_BYTES], "big")


class Vault:
    """The ring at work: seals under its first key, opens under any.

    AES-256-GCM twice: a data key of its own for each text, and the ring's key around that. The
    text is bound to its record; the wrap to the key's version too, so re-wrapping leaves the
    ciphertext as it is.
    """

    def __init__(self, ring: Mapping[int, bytes]) -> None:
        self._wraps = {version: AESGCM(derive(root, WRAP_LABEL)) for version, root in ring.items()}

    @property
    def versions(self) -> tuple[int, ...]:
        """Return the versions in the ring, the writing one first."""
        return tuple(self._wraps)

    def seal(self, secret: Secret, binding: Binding) -> Sealed:
        """Return the secret sealed; twice the same secret is never twice the same bytes."""
        key, nonce = AESGCM.generate_key(KEY_BYTES * 8), os.urandom(NONCE_BYTES)
        text = nonce + AESGCM(key).encrypt(nonce, secret.text.encode(), binding.data())
        return Sealed(self._wrapped(key, binding) + text)

    def reveal(self, sealed: Sealed, binding: Binding) -> Secret:
        """Return the secret; raise `Undecryptable` if any bit of it or its binding has changed."""
        key, text = self._data_key(sealed, binding), sealed.blob[WRAPPED_END:]
        try:
            plain = AESGCM(key).decrypt(text[:NONCE_BYTES], text[NONCE_BYTES:], binding.data())
        except (InvalidTag, ValueError):
            raise Undecryptable(ALTERED) from None
        return Secret(plain.decode())

    def rewrap(self, sealed: Sealed, binding: Binding) -> Sealed:
        """Return the same ciphertext with its data key under the ring's first key."""
        key = self._data_key(sealed, binding)
        return Sealed(self._wrapped(key, binding) + sealed.blob[WRAPPED_END:])

    def _wrapped(self, key: bytes, binding: Binding) -> bytes:
        newest = self.versions[0]
        version, nonce = newest.to_bytes(VERSION_BYTES, "big"), os.urandom(NONCE_BYTES)
        wrapped = self._wraps[newest].encrypt(nonce, key, binding.data(FORM + version))
        return FORM + version + nonce + wrapped

    def _data_key(self, sealed: Sealed, binding: Binding) -> bytes:
        head = sealed.blob[: len(FORM) + VERSION_BYTES]
        wrap = self._wraps.get(sealed.key_version)
        if not wrap:
            raise Undecryptable(f"The key ring lacks version {sealed.key_version}.")
        nonce_end = len(head) + NONCE_BYTES
        nonce, wrapped = sealed.blob[len(head) : nonce_end], sealed.blob[nonce_end:WRAPPED_END]
        try:
            return wrap.decrypt(nonce, wrapped, binding.data(head))
        except (InvalidTag, ValueError):
            raise Undecryptable(ALTERED) from None


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
    found: Vault = current_app.extensions["pipelabs.vault"]
    if not found.versions:
        raise Unavailable(
            "API keys cannot be sealed or opened here: VAULT_KEYS is not set.",
            code="vault_not_configured",
        )
    return found


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
    app.extensions["pipelabs.vault"] = Vault(ring)
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
