"""Authentication by bearer token, checked against the primary database at every request."""

import logging
import re
import time
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast
from uuid import UUID

import jwt
from flask import Flask, Request, current_app, request
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token

from pipelabs.accounts import api_tokens, sessions, sign_in_throttle
from pipelabs.accounts.permission_words import WORDS
from pipelabs.core import metrics
from pipelabs.core.actor import Actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import Code, Forbidden, Unauthenticated
from pipelabs.core.ip_address import UNKNOWN, parse_ip_address
from pipelabs.core.settings import secret_keys, setting
from pipelabs.models import Permission, Role
from pipelabs.web.operation import (
    ADMIN_API_PATH,
    CONSOLE_PATH,
    MACHINE_PATH,
    Operation,
    current_actor,
    is_below,
)

BEARER = re.compile(r"(?i:bearer) ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII)
HEADER = {"alg": "HS256", "typ": "JWT"}
"""The only header we sign. A token with any other one (kid, jku, crit, b64) is rejected."""
CLAIMS = ["aud", "exp", "iat", "iss", "jti", "nbf", "sid", "sub", "tv", "type"]
API_TOKEN = re.compile(r"(?i:bearer) (pl_[A-Za-z0-9_-]{43})", re.ASCII)
INVALID: Code = "token_invalid"
PASSWORD_DUE = "Choose your own password to continue."  # noqa: S105 - a sentence
PASSWORD_DUE_CODE: Code = "password_change_required"  # noqa: S105 - a code
EXPIRED: Code = "token_expired"
FORWARDED_FOR = "X-Forwarded-For"
UNTRUSTED_PROXY = "pipelabs.untrusted_proxy"
"""Key in the application's extensions."""
NO_TRUST = (
    "A request has the header X-Forwarded-For, which is ignored: TRUSTED_PROXIES is 0. Behind a"
    " proxy every caller shares its address. Set TRUSTED_PROXIES to the number of your proxies."
)
NO_ADDRESS = (
    "A caller's address is not an IP address and is recorded as unknown. Check TRUSTED_PROXIES and"
    " the X-Forwarded-For of your proxy."
)
MAX_TOKEN_VERSION = 2**31 - 1
"""The largest integer of its column."""
TOKEN_CACHE_SIZE = 1024
"""Verified tokens that a worker caches: more than are in use at the same time."""

logger = logging.getLogger("pipelabs")
jwt_manager = JWTManager()


class Token(NamedTuple):
    """A verified token.

    `refresh_jti` is the token's id; that of a refresh token must equal the one of its session.
    `expires_at` is in Unix seconds.
    """

    admin: sessions.Claims
    refresh_jti: UUID
    expires_at: int


def init_app(app: Flask) -> None:
    """Register the library that signs tokens."""
    jwt_manager.init_app(app)


def missing_permission(permission: Permission, role: Role | None) -> str:
    """Return the message for a missing permission. Pass no `role` for an API token."""
    if role is None:
        return f"Your API token lacks the permission {permission}."
    words = WORDS[permission]
    act = f"{words[0].lower()}{words[1:]}"
    return f"{role.capitalize()}s don't have permission to {act}. Ask an owner."


def is_guarded(operation: Operation | None, path: str) -> bool:
    """Return whether a request needs authentication.

    Every operation needs it unless it is public. So does every unknown path below /api/admin,
    /api/machine and /admin, so that anonymous callers can't find out which paths exist.
    """
    if operation:
        return not operation.is_public
    return any(is_below(path, prefix) for prefix in (ADMIN_API_PATH, CONSOLE_PATH, MACHINE_PATH))


def is_permitted(operation: Operation) -> bool:
    """Return whether the caller may run the operation."""
    actor = current_actor()
    return operation.permission is None or (
        operation.permission in actor.permissions
        and (operation.allows_password_due or not actor.must_change_password)
    )


def check_permission(operation: Operation) -> None:
    """Raise `Forbidden`, which says what is missing, unless the caller may run the operation."""
    if is_permitted(operation):
        return
    actor, permission = current_actor(), cast(Permission, operation.permission)
    if actor.must_change_password and not operation.allows_password_due:
        raise Forbidden(PASSWORD_DUE, code=PASSWORD_DUE_CODE)
    message = missing_permission(permission, None if actor.token else actor.role)
    raise Forbidden(message, facts={"permission": permission, "role": str(actor.role)})


def identify(anonymous: Actor) -> Actor:
    """Return the admin whose bearer token this request carries; raise `Unauthenticated`.

    An API token is accepted wherever an access token is.
    """
    header = request.headers.get("Authorization")
    if header is None:
        raise Unauthenticated("Sign in first: send Authorization: Bearer <access token>.")
    if match := API_TOKEN.fullmatch(header):
        return _authenticate_api_token(match[1], anonymous)
    actor = sessions.authenticate(_read_bearer(header, "access").admin, anonymous)
    if actor.needs_last_seen_update:
        # In a transaction of its own, so that a later denial does not roll it back.
        with unit_of_work():
            sessions.touch_last_seen(actor)
    return actor


def _authenticate_api_token(text: str, anonymous: Actor) -> Actor:
    """Return the admin who owns the API token, with the permissions of the token."""
    actor = api_tokens.authenticate_token(text, anonymous)
    if actor.needs_last_seen_update:
        with unit_of_work():
            api_tokens.touch_last_used(text, actor)
    return actor


def reserve_password_attempt(email: str, address: str | None) -> None:
    """Count a password attempt. Raise `Throttled` if there were too many.

    The transaction is separate, so that the count survives the denial.
    """
    with unit_of_work():
        throttled = sign_in_throttle.reserve(email, address)
    if throttled:
        metrics.count_limit_denial("sign_in")
        raise throttled


def renew_session(anonymous: Actor) -> sessions.SignedIn:
    """Renew and return the session whose refresh token this request carries as its bearer."""
    token = _read_bearer(request.headers.get("Authorization", ""), "refresh")
    return sessions.renew_session(token.admin, token.refresh_jti, anonymous)


def issue_tokens(signed_in: sessions.SignedIn) -> dict[str, Any]:
    """Return the tokens of a session and the lifetime of its access token in seconds."""
    admin, session = signed_in
    subject = str(admin.id)
    claims = {"sid": str(session.id), "tv": admin.token_version}
    lifetime = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return {
        "access_token": create_access_token(subject, additional_claims=claims),
        # Replaces the id that the library generates: the session stores the valid one.
        "refresh_token": create_refresh_token(
            subject, additional_claims=claims | {"jti": str(session.refresh_jti)}
        ),
        "expires_in": int(lifetime.total_seconds()),
    }


def read_token(text: str, kind: str) -> Token:
    """Return the verified token. Raise `Unauthenticated` if it is expired or invalid."""
    try:
        token = _decode_with_any_key(text, kind)
        if token.expires_at <= time.time() - setting("JWT_DECODE_LEEWAY"):
            raise jwt.ExpiredSignatureError
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The token has expired. Sign in again.", code=EXPIRED) from None
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise Unauthenticated("The token is not valid.", code=INVALID) from None
    return token


def _read_bearer(header: str, kind: str) -> Token:
    if not (match := BEARER.fullmatch(header)):
        raise Unauthenticated("The Authorization header must be one bearer token.", code=INVALID)
    return read_token(match[1], kind)


def _decode_with_any_key(text: str, kind: str) -> Token:
    """Return the token, signed with the secret key or with one that it replaces."""
    *others, last = secret_keys()
    for secret in others:
        with suppress(jwt.InvalidSignatureError):
            return _decode(text, kind, secret)
    return _decode(text, kind, last)


@lru_cache(TOKEN_CACHE_SIZE)
def _decode(token: str, kind: str, secret: str) -> Token:
    """Return the token with its signature and claims checked.

    Valid tokens are cached, invalid ones are not. Expiry and the session are checked per request.
    """
    if jwt.get_unverified_header(token) != HEADER:
        raise Unauthenticated("The token is not valid.", code=INVALID)
    return _check_claims(_verify_signature(token, secret), kind)


def _verify_signature(token: str, secret: str) -> dict[str, Any]:
    """Return the claims of a token that we signed and that has every required claim.

    flask-jwt-extended's own decoder is not used, because it fills in missing claims.
    """
    settings = current_app.config
    return jwt.decode(
        token,
        secret,
        algorithms=settings["JWT_DECODE_ALGORITHMS"],
        audience=settings["JWT_DECODE_AUDIENCE"],
        issuer=settings["JWT_DECODE_ISSUER"],
        leeway=settings["JWT_DECODE_LEEWAY"],
        options={"require": CLAIMS},
    )


def _check_claims(claims: dict[str, Any], kind: str) -> Token:
    """Return the claims as a `Token`.

    Raise `ValueError`, `TypeError` or `AttributeError` if a claim has the wrong type or value.
    """
    lifetime_s = current_app.config[f"JWT_{kind.upper()}_TOKEN_EXPIRES"].total_seconds()
    issued_at, expires_at = claims["iat"], claims["exp"]
    if claims["type"] != kind or not type(issued_at) is type(expires_at) is int:
        raise ValueError("wrong type of token or of its times")
    if not 0 < expires_at - issued_at <= lifetime_s:
        raise ValueError("wrong lifetime")
    if type(claims["tv"]) is not int or abs(claims["tv"]) > MAX_TOKEN_VERSION:
        raise ValueError("wrong token version")
    admin = sessions.Claims(UUID(claims["sub"]), UUID(claims["sid"]), claims["tv"])
    return Token(admin, UUID(claims["jti"]), expires_at)


def anonymous(incoming: Request, request_id: str, operation: Operation | None) -> Actor:
    """Return the anonymous actor of a request that is not authenticated yet.

    A proxy may forward any text as the client address. If it is no IP address, it is `unknown`.
    """
    if FORWARDED_FOR in incoming.headers and not setting("TRUSTED_PROXIES"):
        current_app.extensions[UNTRUSTED_PROXY] = True
        _warn_once(NO_TRUST)
    forwarded = incoming.remote_addr or ""
    address = parse_ip_address(forwarded)
    if address is None:
        _warn_once(NO_ADDRESS)
        address = UNKNOWN
    success_status = operation.status if operation else None
    return Actor(request_id=request_id, address=address, success_status=success_status)


def has_untrusted_proxy() -> bool:
    """Return whether a request came through a proxy although none is trusted."""
    return UNTRUSTED_PROXY in current_app.extensions


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)
