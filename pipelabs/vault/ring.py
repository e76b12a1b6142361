"""The running application's vault, and fingerprints of API keys."""

import hashlib
import hmac
from typing import Any

from pipelabs.core.errors import Unavailable
from pipelabs.core.keyring import derive
from pipelabs.core.settings import resource, setting
from pipelabs.vault.envelope import Secret, Vault

FINGERPRINT_LABEL = "pipelabs/fingerprint/v1"
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
    """Make the vault of the key ring that `core.keyring` has parsed."""
    app.extensions["pipelabs.vault"] = Vault(app.extensions["pipelabs.key_ring"])


def _vault() -> Vault:
    vault: Vault = resource("vault")
    return vault
