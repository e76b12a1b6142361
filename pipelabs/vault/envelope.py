"""Envelope encryption: each secret under a data-encryption key of its own, wrapped by the key ring.

AES-256-GCM twice. The ciphertext is bound to its record, the wrapped key to the version of its
key-encryption key (KEK) as well, so a rotation re-wraps the data-encryption key (DEK) and leaves
the ciphertext unchanged.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipelabs.core.errors import Undecryptable
from pipelabs.models.envelopes import (
    CIPHERTEXT_AT,
    FORMAT_VERSION,
    KEK_VERSION_BYTES,
    KEY_BYTES,
    NONCE_BYTES,
    EncryptionContext,
    Envelope,
)

ALTERED = "The secret can't be decrypted. It was altered or belongs to another record."


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that can't appear in a log, message or template by accident."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "Secret()"


class Vault:
    """Encrypts under the first key of the ring, decrypts under any."""

    def __init__(self, keks: Mapping[int, bytes]) -> None:
        """`keks` maps version to key-encryption key, the one to encrypt with first."""
        self._keks = {version: AESGCM(key) for version, key in keks.items()}

    @property
    def versions(self) -> tuple[int, ...]:
        """Return the versions in the ring, the one to encrypt with first."""
        return tuple(self._keks)

    def encrypt(self, secret: Secret, context: EncryptionContext) -> Envelope:
        """Return the encrypted secret; each call uses a new data-encryption key and nonce."""
        dek, nonce = AESGCM.generate_key(KEY_BYTES * 8), os.urandom(NONCE_BYTES)
        text = AESGCM(dek).encrypt(nonce, secret.text.encode(), context.associated_data())
        return Envelope(self._wrap(dek, context) + nonce + text)

    def decrypt(self, envelope: Envelope, context: EncryptionContext) -> Secret:
        """Return the secret; raise `Undecryptable` if the envelope or its context was changed."""
        dek, text = self._unwrap(envelope, context), envelope.ciphertext
        try:
            plain = AESGCM(dek).decrypt(
                text[:NONCE_BYTES], text[NONCE_BYTES:], context.associated_data()
            )
        except (InvalidTag, ValueError):
            raise Undecryptable(ALTERED) from None
        return Secret(plain.decode())

    def rewrap(self, envelope: Envelope, context: EncryptionContext) -> Envelope:
        """Return the same ciphertext, its data-encryption key wrapped by the ring's first key."""
        return Envelope(self._wrap(self._unwrap(envelope, context), context) + envelope.ciphertext)

    def _wrap(self, dek: bytes, context: EncryptionContext) -> bytes:
        version, nonce = self.versions[0], os.urandom(NONCE_BYTES)
        head = FORMAT_VERSION + version.to_bytes(KEK_VERSION_BYTES, "big")
        return head + nonce + self._keks[version].encrypt(nonce, dek, context.associated_data(head))

    def _unwrap(self, envelope: Envelope, context: EncryptionContext) -> bytes:
        head = envelope.blob[: len(FORMAT_VERSION) + KEK_VERSION_BYTES]
        kek = self._keks.get(envelope.kek_version)
        if not kek:
            raise Undecryptable(f"The key ring lacks version {envelope.kek_version}.")
        wrapped = envelope.blob[len(head) : CIPHERTEXT_AT]
        try:
            return kek.decrypt(
                wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context.associated_data(head)
            )
        except (InvalidTag, ValueError):
            raise Undecryptable(ALTERED) from None
