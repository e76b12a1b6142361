"""What an engine's host and the service agree on: signed requests and sealed credentials.

Both sides import this module. It knows nothing of either.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

SCHEME = "Machine"
"""The scheme of the Authorization header. What follows is a JWT."""
HEADER = {"alg": "EdDSA", "typ": "pipelabs-machine+jwt"}
"""The only header that is accepted, besides `kid`, the public signing key."""
LIFETIME_S = 30
"""How long a signature is valid. The service accepts up to 60 s."""
CLAIMS = ("iat", "exp", "jti", "htm", "htu", "bsh")
"""Issued and expiring at, id, HTTP method and target as in RFC 9449, and the body's SHA-256."""
KEY_BYTES = 32
CODE_PREFIX = "ple_"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
"""HPKE, RFC 9180, in its single-shot form."""


class Unreadable(ValueError):
    """Credentials were sealed to another machine or for another lease, or were altered."""


def encode(data: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of base64url without padding; raise `ValueError` for other text."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if encode(data) != text:
        raise ValueError("not base64url without padding")
    return data


def thumbprint(signing_key: bytes) -> str:
    """Return a short name of a public signing key."""
    return encode(hashlib.sha256(signing_key).digest())


def fingerprint(signing_key: bytes, sealing_key: bytes) -> str:
    """Return what people compare: 128 bits over both public keys, in groups of four digits."""
    digits = hashlib.sha256(signing_key + sealing_key).hexdigest()[:32]
    return "-".join(digits[place : place + 4] for place in range(0, 32, 4))


def body_digest(body: bytes) -> str:
    """Return the claim that binds a signature to a body."""
    return encode(hashlib.sha256(body).digest())


@dataclass(frozen=True)
class RequestSigner:
    """Signs the requests of one machine."""

    key: Ed25519PrivateKey

    def sign(self, method: str, target: str, body: bytes, jti: str, moment: int) -> str:
        """Return the value of the Authorization header.

        `target` is the path with its query, `moment` the time in Unix seconds. A `jti` is
        `<stream>.<number>`: a process has a random stream, and its numbers increase.
        """
        claims = {
            "iat": moment,
            "exp": moment + LIFETIME_S,
            "jti": jti,
            "htm": method,
            "htu": target,
            "bsh": body_digest(body),
        }
        public_key = self.key.public_key().public_bytes_raw()
        headers = {**HEADER, "kid": encode(public_key)}
        token = jwt.encode(claims, self.key, algorithm="EdDSA", headers=headers)
        return f"{SCHEME} {token}"


def verify(token: str, signing_key: bytes) -> dict[str, Any]:
    """Return the claims of a token; raise `jwt.InvalidTokenError` unless this key signed it.

    Times are not compared with the clock: the caller says by how much it is off.
    """
    return jwt.decode(
        token,
        Ed25519PublicKey.from_public_bytes(signing_key),
        algorithms=["EdDSA"],
        options={
            "require": list(CLAIMS),
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        },
    )


def lease_context(lease_id: str, machine_id: str, key_id: str, generation: int) -> bytes:
    """Return what sealed credentials are bound to. They open in no other place."""
    context = ["pipelabs lease 1", lease_id, machine_id, key_id, generation]
    return json.dumps(context, separators=(",", ":")).encode()


def can_seal(sealing_key: bytes) -> bool:
    """Return whether credentials can be sealed to the key. Anyone could open some weak ones."""
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(sealing_key))
    except ValueError:
        return False
    return True


def seal(credentials: bytes | bytearray, sealing_key: bytes, context: bytes) -> str:
    """Return credentials that only the owner of the sealing key can open.

    They are a JSON object of texts. It is given encoded, so that the caller can overwrite it.
    """
    public_key = X25519PublicKey.from_public_bytes(sealing_key)
    return encode(SUITE.encrypt(credentials, public_key, info=context))


def open_sealed(sealed: str, key: X25519PrivateKey, context: bytes) -> dict[str, str]:
    """Return the credentials; raise `Unreadable`."""
    try:
        text = SUITE.decrypt(decode(sealed), key, info=context)
    except (InvalidTag, ValueError) as error:
        raise Unreadable("The credentials can't be opened.") from error
    credentials: dict[str, str] = json.loads(text)
    return credentials
