"""A browser's way in: the session's cookie, and the token that proves a form to be ours."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request, session, url_for
from flask_jwt_extended import create_access_token

from pipelabs.audit import Actor
from pipelabs.crypto import derive
from pipelabs.errors import Forbidden, Unauthenticated
from pipelabs.extensions import CONSOLE_PATH, is_below, unit_of_work
from pipelabs.models import Admin, Session
from pipelabs.services import sessions
from pipelabs.web import auth

KIND = "console"
"""The kind of token in the cookie: no bearer of the API, and no refresh token."""
CSRF_FIELD, CSRF_HEADER = "csrf_token", "X-CSRF-Token"
CSRF_LABEL = "pipelabs/csrf/v1"
VISITOR = "visitor"
STALE = "This form has expired. Reload the page and try again."


def init_app(app: Flask) -> None:
    """Name the cookies: a browser takes `__Host-` ones over TLS alone, which `make run` lacks."""
    is_local = app.config["ENVIRONMENT"] == "local"
    prefix = "" if is_local else "__Host-"
    app.config.update(
        CONSOLE_COOKIE=f"{prefix}pl_console",
        SESSION_COOKIE_NAME=f"{prefix}pl_visit",
        SESSION_COOKIE_SECURE=not is_local,
        SESSION_COOKIE_SAMESITE="Strict",
    )


def identify(stranger: Actor) -> Actor:
    """Return the admin whose cookie this request carries; raise `Unauthenticated`.

    A cookie that is expired, foreign or broken is as good as none.
    """
    token = request.cookies.get(_name(), "")
    if not token:
        raise Unauthenticated("Sign in first.")
    claims = auth.claims_of(token, KIND).admin
    with unit_of_work():
        return sessions.visit(claims, stranger)


def refuse_forgery() -> None:
    """Raise `Forbidden` unless an unsafe request comes from one of our own pages.

    Its origin must be this host, and it must carry the token of its session's forms.
    """
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Forbidden("This request came from another site.", code="csrf_failed")
    sent = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), csrf_token().encode()):
        raise Forbidden(STALE, code="csrf_failed")


def csrf_token() -> str:
    """Return what forms of this session carry; of this visit, before anybody signs in."""
    if owner := g.actor.session_id:
        seed = f"session:{owner}"
    else:
        seed = f"visitor:{session.setdefault(VISITOR, secrets.token_urlsafe(18))}"
    key = derive(current_app.config["SECRET_KEY"].encode(), CSRF_LABEL)
    return urlsafe_b64encode(hmac.digest(key, seed.encode(), "sha256")).decode()


def keep(response: Response, signed_in: sessions.SignedIn) -> Response:
    """Give the browser the cookie of a session; it ends with the session, or the browser."""
    token = create_access_token(
        str(signed_in.admin.id),
        expires_delta=sessions.SESSION_LIFE,
        additional_claims=_claims(signed_in.admin, signed_in.session),
    )
    response.set_cookie(
        _name(), token, path="/", httponly=True, samesite="Strict", secure=_secure()
    )
    return response


def forget(response: Response) -> Response:
    """Take the cookie back."""
    response.delete_cookie(_name(), path="/", httponly=True, samesite="Strict", secure=_secure())
    return response


def sign_in_address() -> str:
    """Return the page to sign in on, which leads back to where one was."""
    target = request.full_path.rstrip("?") if request.method == "GET" else request.path
    if inside := request.headers.get("HX-Current-URL"):
        target = urlsplit(inside)._replace(scheme="", netloc="").geturl()
    return url_for("admin.auth.login", next=own_page(target))


def own_page(target: str) -> str:
    r"""Return the address if it is one of the console's own pages, else the first page's.

    Nobody is sent to another site from here: `//host`, `/\host` and schemes are none of ours.
    """
    parts = urlsplit(target)
    is_ours = not (parts.scheme or parts.netloc) and is_below(parts.path, CONSOLE_PATH)
    is_plain = target.isprintable() and "\\" not in target and "//" not in parts.path
    return target if is_ours and is_plain else url_for("admin.dashboard.index")


def _claims(admin: Admin, opened: Session) -> dict[str, object]:
    return {"type": KIND, "sid": str(opened.id), "tv": admin.token_version}


def _name() -> str:
    return str(current_app.config["CONSOLE_COOKIE"])


def _secure() -> bool:
    return bool(current_app.config["SESSION_COOKIE_SECURE"])
