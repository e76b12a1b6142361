"""Coinbase's JSON Web Tokens, read and checked by hand.

https://docs.cdp.coinbase.com/get-started/authentication/jwt-authentication.
"""

import base64
import binascii
import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.stub_exchange.faults import Fault
from tests.stub_exchange.request import Known, Request


def subject(headers: Mapping[str, str]) -> str:
    """Return the api key that a token names."""
    parts = _parts(headers)
    return str(_decoded(parts[1]).get("sub")) if len(parts) == 3 else ""


def _parts(headers: Mapping[str, str]) -> list[str]:
    return headers.get("Authorization", "").removeprefix("Bearer ").split(".")


def check(request: Request, known: Known, now: float) -> Fault | None:
    """Check a JSON Web Token: ES256, valid for two minutes, and for this request."""
    parts = _parts(request.headers)
    if len(parts) != 3 or _decoded(parts[0]).get("alg") != "ES256":
        return Fault.KEY
    claims = _decoded(parts[1])
    start, end = claims.get("nbf"), claims.get("exp")
    if not isinstance(start, int) or not isinstance(end, int) or end - start > 120:
        return Fault.CLOCK
    if not start - 1 <= now <= end:
        return Fault.CLOCK
    uri = str(claims.get("uri"))
    if not uri.startswith(f"{request.method} ") or not uri.endswith(request.path):
        return Fault.SECRET
    return None if _is_signed(parts, known["api_secret"]) else Fault.SECRET


def _decoded(part: str) -> Mapping[str, object]:
    try:
        decoded = json.loads(_bytes(part))
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _bytes(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        return b""


def _is_signed(parts: list[str], secret: str) -> bool:
    signature = _bytes(parts[2])
    numbers = (int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    key = load_pem_private_key(secret.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError
    text = f"{parts[0]}.{parts[1]}".encode()
    try:
        key.public_key().verify(encode_dss_signature(*numbers), text, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
