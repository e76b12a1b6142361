"""The running application's vault: the key ring as key-encryption keys, and key fingerprints."""

import hashlib
import hmac
from typing import Any

from pipelabs.core.errors import Unavailable
from pipelabs.core.keyring import derive
from pipelabs.core.settings import resource, setting
from pipelabs.vault.envelope import Secret, Vault

FINGERPRINT_LABEL = "pipelabs/fingerprint/v1"
KEK_LABEL = "pipelabs/vault-wrap/v1"
NOT_CONFIGURED = "API keys can't be encrypted or decrypted here: VAULT_KEYS is not set."


def vault() -> Vault:
    """Return the running application's vault; raise `Unavailable` where there is no key ring."""
    if not ring_versions():
        raise Unavailable(NOT_CONFIGURED, code="vault_not_configured")
    return _vault()


def ring_versions() -> tuple[int, ...]:
    """Return the versions of the key ring, the one to encrypt with first; empty without a ring."""
    return _vault().versions


def fingerprint(exchange: str, api_key: Secret) -> bytes:
    """Return a keyed hash that identifies the same API key without decrypting any.

    It is keyed by the secret key, so a rotation of the key ring changes no fingerprint.
    """
    key = derive(setting("SECRET_KEY").encode(), FINGERPRINT_LABEL)
    return hmac.digest(key, f"{exchange}\0{api_key.text}".encode(), hashlib.sha256)


def init_app(app: Any) -> None:
    """Derive the key-encryption keys of the ring that `core.keyring` has parsed."""
    ring = app.extensions["pipelabs.key_ring"]
    keks = {version: derive(root, KEK_LABEL) for version, root in ring.items()}
    app.extensions["pipelabs.vault"] = Vault(keks)


def _vault() -> Vault:
    vault: Vault = resource("vault")
    return vault
