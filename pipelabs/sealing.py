"""Sealing: a secret as it lies in the database, bound to its record and wrapped by the ring."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipelabs.errors import Undecryptable

KEY_BYTES = 32
"""AES-256 and HMAC-SHA256 keys alike."""
SEAL_LABEL = b"pipelabs/exkey/v1"
FORM = b"\x01"
"""First byte of what is sealed; another layout would begin with another."""
NONCE_BYTES, TAG_BYTES, VERSION_BYTES = 12, 16, 2
WRAPPED_END = len(FORM) + VERSION_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES
"""Where the wrapped data key ends and the ciphertext's nonce begins."""
ALTERED = "It cannot be opened: it was altered, or belongs to another record."


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

    @property
    def ciphertext(self) -> bytes:
        """Return what a rotation leaves as it is: the nonce, the sealed text and its tag."""
        return self.blob[WRAPPED_END:]


class Vault:
    """The ring at work: seals under its first key, opens under any.

    AES-256-GCM twice: a data key of its own for each text, and the ring's key around that. The
    text is bound to its record; the wrap to the key's version too, so re-wrapping leaves the
    ciphertext as it is.
    """

    def __init__(self, wraps: Mapping[int, bytes]) -> None:
        """Take the keys made of the ring's for this purpose alone, the writing one first."""
        self._wraps = {version: AESGCM(key) for version, key in wraps.items()}

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
        key, text = self._data_key(sealed, binding), sealed.ciphertext
        try:
            plain = AESGCM(key).decrypt(text[:NONCE_BYTES], text[NONCE_BYTES:], binding.data())
        except (InvalidTag, ValueError):
            raise Undecryptable(ALTERED) from None
        return Secret(plain.decode())

    def rewrap(self, sealed: Sealed, binding: Binding) -> Sealed:
        """Return the same ciphertext with its data key under the ring's first key."""
        key = self._data_key(sealed, binding)
        return Sealed(self._wrapped(key, binding) + sealed.ciphertext)

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
