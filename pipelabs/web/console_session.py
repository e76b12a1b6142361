"""The console's session cookie, and the page to return to after signing in."""

from flask import Flask, Response, current_app, request, url_for
from flask_jwt_extended import create_access_token

from pipelabs.accounts import sessions
from pipelabs.core.actor import Actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import Unauthenticated
from pipelabs.models import Admin, Session
from pipelabs.web import auth
from pipelabs.web.operation import BACK_FIELD, CONSOLE_PATH, is_below
from pipelabs.web.urls import find_endpoint, split_url

KIND = "console"
"""The `type` claim of the token in the cookie. The API rejects tokens of this type."""
YEAR_S = 365 * 24 * 3600
SAME_SITE = "Lax"
"""Sends the cookies when a link in a chat or an e-mail leads to the console, as GET only."""


def init_app(app: Flask) -> None:
    """Name the cookies. Browsers accept `__Host-` cookies only over TLS, which `make run` lacks."""
    is_local = app.config["ENVIRONMENT"] == "local"
    prefix = "" if is_local else "__Host-"
    app.config.update(
        CONSOLE_COOKIE=f"{prefix}pl_console",
        SESSION_COOKIE_NAME=f"{prefix}pl_visit",
        SESSION_COOKIE_SECURE=not is_local,
        SESSION_COOKIE_SAMESITE=SAME_SITE,
    )


def identify(anonymous: Actor) -> Actor:
    """Return the admin whose cookie this request carries; raise `Unauthenticated`.

    An expired or invalid cookie is treated like a missing one.
    """
    token = request.cookies.get(_cookie_name(), "")
    if not token:
        raise Unauthenticated("Sign in first.")
    claims = auth.read_token(token, KIND).admin
    actor = sessions.authenticate_console(claims, anonymous)
    if actor.needs_last_seen_update:
        # In a transaction of its own, so that a later denial does not roll it back.
        with unit_of_work():
            sessions.keep_alive(actor)
    return actor


def set_session_cookie(response: Response, signed_in: sessions.SignedIn) -> Response:
    """Set the session cookie on the response. It is deleted when the browser closes."""
    token = create_access_token(
        str(signed_in.admin.id),
        expires_delta=sessions.SESSION_LIFETIME,
        additional_claims=_claims(signed_in.admin, signed_in.session),
    )
    response.set_cookie(
        _cookie_name(), token, path="/", httponly=True, samesite=SAME_SITE, secure=_is_secure()
    )
    return response


def clear_session_cookie(response: Response) -> Response:
    """Delete the session cookie if the request has sent one."""
    if not was_sent():
        return response
    response.delete_cookie(
        _cookie_name(), path="/", httponly=True, samesite=SAME_SITE, secure=_is_secure()
    )
    return response


def set_preference(response: Response, name: str, value: str | None) -> Response:
    """Let the browser keep a preference for a year, or forget it."""
    if value is None:
        response.delete_cookie(name)
        return response
    response.set_cookie(
        name,
        value,
        max_age=YEAR_S,
        httponly=True,
        samesite=SAME_SITE,
        secure=request.is_secure,
    )
    return response


def sign_in_url() -> str:
    """Return the URL of the sign-in page, which returns to the current page afterwards."""
    target = return_url()
    if parts := split_url(request.headers.get("HX-Current-URL", "")):
        target = parts._replace(scheme="", netloc="").geturl() or target
    return url_for("admin.auth.login", next=safe_redirect_target(target))


def return_url() -> str:
    """Return the URL of the page to show again after signing in.

    For a form that is the page it was on, with its query string.
    """
    if request.method == "GET":
        return request.full_path.rstrip("?")
    parts = split_url(request.referrer or "")
    if parts and parts.netloc == request.host and find_endpoint(parts.path, "GET"):
        return parts._replace(scheme="", netloc="", fragment="").geturl()
    return request.path if find_endpoint(request.path, "GET") else ""


def was_sent() -> bool:
    """Return whether the request has a session cookie. If it is denied, the session has ended."""
    return _cookie_name() in request.cookies


def back_url(default: str) -> str:
    """Return the console page that the form or the URL says to go back to, else `default`."""
    target = request.form.get(BACK_FIELD) or request.args.get(BACK_FIELD, "")
    return safe_redirect_target(target.rstrip("?"), default)


def safe_redirect_target(target: str, default: str = "") -> str:
    r"""Return the target if it is a console page, else `default` or the URL of the desk.

    Prevents open redirects: `//host`, `/\host` and URLs with a scheme are not console pages.
    """
    default = default or url_for("admin.desk.index")
    parts = split_url(target)
    if not parts:
        return default
    is_console = not (parts.scheme or parts.netloc) and is_below(parts.path, CONSOLE_PATH)
    is_plain = target.isprintable() and "\\" not in target and "//" not in parts.path
    return target if is_console and is_plain else default


def _claims(admin: Admin, session: Session) -> dict[str, object]:
    return {"type": KIND, "sid": str(session.id), "tv": admin.token_version}


def _cookie_name() -> str:
    return str(current_app.config["CONSOLE_COOKIE"])


def _is_secure() -> bool:
    return bool(current_app.config["SESSION_COOKIE_SECURE"])
