"""The console's session: its cookie, and where signing in leads back to."""

from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request, url_for
from flask_jwt_extended import create_access_token

from pipelabs.accounts import sessions
from pipelabs.core.actor import Actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import Unauthenticated
from pipelabs.models import Admin, Session
from pipelabs.web import auth
from pipelabs.web.paths import CONSOLE_PATH, is_below

KIND = "console"
"""The kind of token in the cookie: neither a bearer token of the API nor a refresh token."""


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


def identify(anonymous: Actor) -> Actor:
    """Return the admin whose cookie this request carries; raise `Unauthenticated`.

    A cookie that is expired, foreign or broken is as good as none.
    """
    token = request.cookies.get(_name(), "")
    if not token:
        raise Unauthenticated("Sign in first.")
    claims = auth.claims_of(token, KIND).admin
    actor = sessions.authenticate_console(claims, anonymous)
    if actor.needs_last_seen_update:
        # In a transaction of its own, so that a denial of what follows does not undo it.
        with unit_of_work():
            sessions.keep_alive(actor)
    return actor


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
    return target if is_ours and is_plain else url_for("admin.overview.index")


def _claims(admin: Admin, opened: Session) -> dict[str, object]:
    return {"type": KIND, "sid": str(opened.id), "tv": admin.token_version}


def _name() -> str:
    return str(current_app.config["CONSOLE_COOKIE"])


def _secure() -> bool:
    return bool(current_app.config["SESSION_COOKIE_SECURE"])
