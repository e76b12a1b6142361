"""Who calls, and whether they may: bearer tokens confirmed by the primary database."""

import re
import time
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple
from uuid import UUID

import jwt
from flask import Flask, Request, current_app, request
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token

from pipelabs.accounts import api_tokens, sessions, sign_in_throttle
from pipelabs.core.actor import Actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import Unauthenticated
from pipelabs.models import Permission, Role
from pipelabs.web.operation import current_operation, success_status
from pipelabs.web.paths import ADMIN_API_PATH, CONSOLE_PATH, is_below

BEARER = re.compile(r"[Bb]earer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII)
HEADER = {"alg": "HS256", "typ": "JWT"}
"""The only header we sign; any other (kid, jku, crit, b64) is somebody else's token."""
CLAIMS = ["aud", "exp", "iat", "iss", "jti", "nbf", "sid", "sub", "tv", "type"]
API_TOKEN = re.compile(r"[Bb]earer (pl_[A-Za-z0-9_-]{43})", re.ASCII)
INVALID = "token_invalid"
PASSWORD_DUE = "Choose a password of your own first."  # noqa: S105 - a sentence
PASSWORD_DUE_CODE = "password_change_required"  # noqa: S105 - a code
EXPIRED = "token_expired"
TOKEN_CACHE_SIZE = 1024
"""Tokens whose signature a worker need not check again: more than are in use at once."""


jwt_manager = JWTManager()


class Token(NamedTuple):
    """Whose token it is, its own id, which for a refresh token must be the session's, its end."""

    admin: sessions.Claims
    refresh_jti: UUID
    expires_at: int


def init_app(app: Flask) -> None:
    """Bind the library that signs tokens."""
    jwt_manager.init_app(app)


def missing_permission(permission: Permission, role: Role | None) -> str:
    """Return the sentence for a caller without the permission; an API token has no `role`."""
    if role is None:
        return f"Your API token lacks the permission {permission}."
    return f"The role {role} lacks the permission {permission}. Ask an owner."


def is_guarded() -> bool:
    """Return whether the request needs a signed-in caller.

    All of /api/admin and of /admin does, unknown paths included, and every operation but the
    public ones.
    """
    if operation := current_operation():
        return not operation.is_public
    return is_below(request.path, ADMIN_API_PATH) or is_below(request.path, CONSOLE_PATH)


def identify(anonymous: Actor) -> Actor:
    """Return the admin whose bearer token this request carries; raise `Unauthenticated`.

    An API token counts wherever the access token of a session does.
    """
    header = request.headers.get("Authorization")
    if header is None:
        raise Unauthenticated("Sign in first: send Authorization: Bearer <access token>.")
    if found := API_TOKEN.fullmatch(header):
        return _program(found[1], anonymous)
    actor = sessions.authenticate(_bearer(header, "access").admin, anonymous)
    if actor.needs_last_seen_update:
        # On its own, so that a refusal of what follows does not take it along.
        with unit_of_work():
            sessions.touch_last_seen(actor)
    return actor


def _program(text: str, anonymous: Actor) -> Actor:
    """Return the admin for whom a program calls, with what its API token allows."""
    actor = api_tokens.authenticate_token(text, anonymous)
    if actor.needs_last_seen_update:
        with unit_of_work():
            api_tokens.touch_last_used(text, actor)
    return actor


def reserve_password_attempt(email: str, address: str | None) -> None:
    """Count one attempt at a password; raise `Throttled` for one too many.

    In a transaction of its own, so that the count survives the denial.
    """
    with unit_of_work():
        throttled = sign_in_throttle.reserve(email, address)
    if throttled:
        raise throttled


def renewed(anonymous: Actor) -> sessions.SignedIn:
    """Return the session whose refresh token this request carries as its bearer, renewed."""
    claims = _bearer(request.headers.get("Authorization", ""), "refresh")
    return sessions.renew(claims.admin, claims.refresh_jti, anonymous)


def tokens(signed_in: sessions.SignedIn) -> dict[str, Any]:
    """Return the tokens of a new session, and the access token's life in seconds."""
    admin, session = signed_in
    subject = str(admin.id)
    claims = {"sid": str(session.id), "tv": admin.token_version}
    life = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return {
        "access_token": create_access_token(subject, additional_claims=claims),
        # The library takes our id in place of its own: the session knows the one that counts.
        "refresh_token": create_refresh_token(
            subject, additional_claims=claims | {"jti": str(session.refresh_jti)}
        ),
        "expires_in": int(life.total_seconds()),
    }


def claims_of(text: str, kind: str) -> Token:
    """Return what the token says, or raise `Unauthenticated`: nothing odd about it is forgiven."""
    try:
        token = _known(text, kind, current_app.config["SECRET_KEY"])
        if token.expires_at <= time.time() - current_app.config["JWT_DECODE_LEEWAY"]:
            raise jwt.ExpiredSignatureError
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The token has expired; sign in again.", code=EXPIRED) from None
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise Unauthenticated("The token is not valid.", code=INVALID) from None
    return token


def _bearer(header: str, kind: str) -> Token:
    if not (found := BEARER.fullmatch(header)):
        raise Unauthenticated("The Authorization header is not one bearer token.", code=INVALID)
    return claims_of(found[1], kind)


@lru_cache(TOKEN_CACHE_SIZE)
def _known(token: str, kind: str, secret: str) -> Token:
    """Return what a good token says; what it says stays the same, so it is read once.

    What raises is not kept. Whether it has expired and whether its session lives is asked anew.
    """
    if jwt.get_unverified_header(token) != HEADER:
        raise Unauthenticated("This token is not ours.", code=INVALID)
    return _checked(_verified(token, secret), kind)


def _verified(token: str, secret: str) -> dict[str, Any]:
    """Return the claims of a token that we have signed and that has every one of them.

    flask-jwt-extended's own reader fills in what is missing.
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


def _checked(claims: dict[str, Any], kind: str) -> Token:
    """Return the claims in their own types; raise `ValueError` or its like for any other shape."""
    life = current_app.config[f"JWT_{kind.upper()}_TOKEN_EXPIRES"].total_seconds()
    times = (claims["iat"], claims["exp"])
    if claims["type"] != kind or not all(type(time) is int for time in times):
        raise ValueError("another kind of token")
    if not 0 < times[1] - times[0] <= life or type(claims["tv"]) is not int:
        raise ValueError("a life that we never give")
    who = sessions.Claims(UUID(claims["sub"]), UUID(claims["sid"]), claims["tv"])
    return Token(who, UUID(claims["jti"]), times[1])


def anonymous(incoming: Request, request_id: str) -> Actor:
    """Return who calls as long as nobody has proved to be anybody.

    A proxy may hand on any text as the address; what is none is `unknown`.
    """
    try:
        address = str(ip_address(incoming.remote_addr or ""))
    except ValueError:
        address = "unknown"
    return Actor(request_id=request_id, address=address, success_status=success_status())
