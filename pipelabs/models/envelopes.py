"""Encrypted texts as a column stores them; only `vault` encrypts and decrypts."""

from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

CONTEXT_LABEL = b"pipelabs/exkey/v1"
FORMAT_VERSION = b"\x01"
"""First byte of every envelope; a new layout gets a new version."""
KEY_BYTES, NONCE_BYTES, TAG_BYTES, KEK_VERSION_BYTES = 32, 12, 16, 2
CIPHERTEXT_AT = len(FORMAT_VERSION) + KEK_VERSION_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES
"""Where the wrapped data-encryption key ends and the ciphertext's nonce begins."""


@dataclass(frozen=True, slots=True)
class EncryptionContext:
    """The record, client, exchange and field that an envelope belongs to.

    It is authenticated with the ciphertext: an envelope moved elsewhere can't be decrypted.
    """

    record: UUID
    client: UUID
    exchange: str
    field: str

    @classmethod
    def of_key(cls, key: Any) -> Self:
        """Return the context of the credentials of an exchange API key."""
        return cls(key.id, key.client_id, key.exchange, "credentials")

    def associated_data(self, *more: bytes) -> bytes:
        """Return the AEAD's associated data: each part prefixed with its length."""
        own = (self.record.bytes, self.client.bytes, self.exchange.encode(), self.field.encode())
        parts = (CONTEXT_LABEL, *own, *more)
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An encrypted text: format version, KEK version, wrapped data key, nonce and ciphertext."""

    blob: bytes = field(repr=False)

    @property
    def kek_version(self) -> int:
        """Return the version of the key-encryption key; unwrapping authenticates it."""
        start = len(FORMAT_VERSION)
        return int.from_bytes(self.blob[start : start + KEK_VERSION_BYTES], "big")

    @property
    def ciphertext(self) -> bytes:
        """Return nonce, ciphertext and tag, which a rotation of the key ring leaves unchanged."""
        return self.blob[CIPHERTEXT_AT:]
