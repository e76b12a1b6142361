"""CSRF protection of the console: the Origin header and a token in every form."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from flask import request, session

from pipelabs.core.errors import Forbidden
from pipelabs.core.keyring import derive
from pipelabs.core.settings import secret_keys
from pipelabs.web.operation import current_actor
from pipelabs.web.urls import split_url

CSRF_FIELD, CSRF_HEADER = "csrf_token", "X-CSRF-Token"
CSRF_LABEL = "pipelabs/csrf/v1"
MASK_BYTES = 32
"""As long as a signature."""
VISITOR = "visitor"
FORM_EXPIRED = "This form has expired. Reload the page and try again."


def reject_forgery() -> None:
    """Raise `Forbidden` unless an unsafe request comes from a page of this console.

    Its origin must be this host, and it must carry the CSRF token of its session.
    """
    if "Origin" in request.headers and not is_from_this_host():
        raise Forbidden("This request came from another site.", code="csrf_failed")
    signature = _unmask(_submitted())
    valid = [hmac.compare_digest(signature, _sign(secret)) for secret in secret_keys()]
    if not any(valid):
        raise Forbidden(FORM_EXPIRED, code="csrf_failed")


def form_id() -> str:
    """Return what identifies the form that was sent: each time it is shown it has another token."""
    return hashlib.sha256(_decode(_submitted())).hexdigest()[:32]


def _submitted() -> str:
    return request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")


def is_from_this_host() -> bool:
    """Return whether the browser says that the request comes from a page of this host."""
    parts = split_url(request.headers.get("Origin", ""))
    return parts is not None and parts.netloc.lower() == request.host.lower()


def csrf_token() -> str:
    """Return a CSRF token of the session, or of the anonymous visit before signing in.

    It differs each time, so the length of a compressed page that also shows what the caller sent
    tells nothing about it (the BREACH attack): a random mask, and the signature under that mask.
    """
    mask = secrets.token_bytes(MASK_BYTES)
    return urlsafe_b64encode(mask + _xor(mask, _sign(secret_keys()[0]))).decode()


def _unmask(token: str) -> bytes:
    """Return the signature in a token, or nothing if the token is malformed."""
    masked = _decode(token)
    return _xor(masked[:MASK_BYTES], masked[MASK_BYTES:]) if len(masked) == 2 * MASK_BYTES else b""


def _decode(token: str) -> bytes:
    try:
        return urlsafe_b64decode(token)
    except ValueError:
        return b""


def _xor(mask: bytes, text: bytes) -> bytes:
    """Return the text under the mask. Both have the length of a signature."""
    masked = int.from_bytes(mask) ^ int.from_bytes(text)
    return masked.to_bytes(MASK_BYTES)


def _sign(secret: str) -> bytes:
    if session_id := current_actor().session_id:
        seed = f"session:{session_id}"
    else:
        seed = f"visitor:{session.setdefault(VISITOR, secrets.token_urlsafe(18))}"
    key = derive(secret.encode(), CSRF_LABEL)
    return hmac.digest(key, seed.encode(), "sha256")
