"""Envelope encryption: each secret under a data-encryption key of its own, wrapped by the key ring.

AES-256-GCM twice. The ciphertext is bound to its record, the wrapped key to the version of its
key-encryption key (KEK) as well, so a rotation re-wraps the data-encryption key (DEK) and leaves
the ciphertext unchanged.
"""

import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipelabs.core.errors import Undecryptable
from pipelabs.core.keyring import derive
from pipelabs.models import Proof
from pipelabs.models.envelopes import (
    CIPHERTEXT_AT,
    FORMAT_VERSION,
    KEK_VERSION_BYTES,
    KEY_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    EncryptionContext,
    Envelope,
)

KEK_LABEL = "pipelabs/vault-wrap/v1"
MAC_LABEL = "pipelabs/vault-mac/v1"
ALTERED = "The secret can't be decrypted. It was altered or belongs to another record."


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that can't appear in a log, message or template by accident."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "Secret()"


class Vault:
    """Encrypts and signs under the first key of the ring, decrypts and checks under any."""

    def __init__(self, ring: Mapping[int, bytes]) -> None:
        """`ring` maps version to key, the one to encrypt and to sign with first.

        Each purpose has keys of its own, which are derived from those.
        """
        self._keks = {version: AESGCM(derive(key, KEK_LABEL)) for version, key in ring.items()}
        self._mac_keys = {version: derive(key, MAC_LABEL) for version, key in ring.items()}

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
        with self.expose(envelope, context) as plain:
            return Secret(plain.decode())

    @contextmanager
    def expose(self, envelope: Envelope, context: EncryptionContext) -> Iterator[bytearray]:
        """Yield the secret, and overwrite it in memory when the block ends. Raise as `decrypt`.

        What the block copies stays in memory. Python can't overwrite its texts.
        """
        dek, text = self._unwrap(envelope, context), envelope.ciphertext
        plain = bytearray(max(len(text) - NONCE_BYTES - TAG_BYTES, 0))
        try:
            AESGCM(dek).decrypt_into(
                text[:NONCE_BYTES], text[NONCE_BYTES:], context.associated_data(), plain
            )
        except (InvalidTag, ValueError):
            raise Undecryptable(ALTERED) from None
        try:
            yield plain
        finally:
            plain[:] = bytes(len(plain))

    def rewrap(self, envelope: Envelope, context: EncryptionContext) -> Envelope:
        """Return the same ciphertext, its data-encryption key wrapped by the ring's first key."""
        return Envelope(self._wrap(self._unwrap(envelope, context), context) + envelope.ciphertext)

    def sign(self, message: bytes) -> bytes:
        """Return the version of the ring's first key, and the MAC of version and message."""
        head = self.versions[0].to_bytes(KEK_VERSION_BYTES, "big")
        return head + hmac.digest(self._mac_keys[self.versions[0]], head + message, hashlib.sha256)

    def check_signature(self, message: bytes, signature: bytes | None) -> Proof:
        """Return whether `sign` has returned this signature for the message.

        Without a signature the message is altered. If the ring lacks the version that the signature
        names, that is unknown.
        """
        if signature is None:
            return Proof.ALTERED
        head, mac = signature[:KEK_VERSION_BYTES], signature[KEK_VERSION_BYTES:]
        key = self._mac_keys.get(int.from_bytes(head, "big"))
        if key is None:
            return Proof.UNKNOWN
        is_valid = hmac.compare_digest(hmac.digest(key, head + message, hashlib.sha256), mac)
        return Proof.VALID if is_valid else Proof.ALTERED

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
