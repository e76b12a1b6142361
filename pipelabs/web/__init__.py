"""The start and the end of every request, and the envelope of every success."""

import hashlib
import logging
import re
import secrets
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, g, request
from flask_cors import CORS
from sqlalchemy.exc import DBAPIError
from werkzeug.middleware.proxy_fix import ProxyFix

from pipelabs.errors import InvalidInput, TooLarge
from pipelabs.extensions import CONSOLE_PATH, finish, is_below
from pipelabs.web import assets, auth, console, errors, headers, limits, pages

logger = logging.getLogger("pipelabs.request")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)

VERSION = re.compile(r'"([1-9][0-9]{0,8})(?:-[0-9a-f]{8})?"', re.ASCII)
"""An ETag of ours: a version, and a mark of what is derived beside the row."""


def reply(
    message: str | None = None,
    *,
    location: str | None = None,
    etag: str | None = None,
    status: int = 200,
    **members: Any,
) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Return a success in the specification's envelope: body, status, header fields."""
    body = {"success": True, "request_id": g.request_id, **members}
    if message is not None:
        body["message"] = message
    fields = {"Location": location, "ETag": etag and f'"{etag}"'}
    return body, status, {name: value for name, value in fields.items() if value}


def etag_of(version: int, derived: Any) -> str:
    """Return the ETag of a row that is answered with something derived from others.

    Where there is nothing derived it is the version alone, which is all that `If-Match` looks at.
    """
    if not derived:
        return str(version)
    mark = hashlib.sha256(repr(derived).encode()).hexdigest()
    return f"{version}-{mark[:8]}"


def expected_version() -> int | None:
    """Return the version that `If-Match` names, or None where any will do."""
    text = request.headers.get("If-Match", "*").strip()
    if text == "*":
        return None
    if not (found := VERSION.fullmatch(text)):
        sentence = 'Must be one ETag of ours, such as "1".'
        raise InvalidInput(f"If-Match: {sentence}", fields={"If-Match": [sentence]})
    return int(found[1])


def init_app(app: Flask) -> None:
    """Wrap every request; registered before the limiter, which counts whom this has named."""
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    if hops := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    # A redirect to the path with single slashes would be built from the caller's Host.
    app.url_map.merge_slashes = False
    # Before `_end`, so that it comes after it: an answer that `_end` replaces has the fields too.
    CORS(
        app,
        resources={r"/api/.*": {"origins": app.config["CORS_ORIGINS"]}},
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match"],
        expose_headers=list(headers.TOLD),
        supports_credentials=False,
        always_send=False,
        max_age=600,
    )
    app.before_request(_start)
    app.after_request(_end)
    errors.init_app(app)
    assets.init_app(app)
    console.init_app(app)
    pages.init_app(app)


def _start() -> Response | None:
    """Name the request and the caller before anything is read or counted."""
    g.request_id = _request_id()
    g.actor = auth.stranger(request, g.request_id)
    if request.method == "OPTIONS":
        return _options()
    if (request.content_length or 0) > current_app.config["MAX_CONTENT_LENGTH"]:
        raise TooLarge("The body is larger than this address takes.")
    is_page = is_below(request.path, CONSOLE_PATH)
    if auth.is_guarded():
        g.actor = console.identify(g.actor) if is_page else auth.identify(g.actor)
    if is_page and request.method not in errors.SAFE_METHODS:
        console.refuse_forgery()
    return None


def _end(response: Response) -> Response:
    """Commit what succeeded, roll back what did not; the answer leaves after the commit."""
    is_write = request.method not in errors.SAFE_METHODS
    try:
        finish(commit=is_write and response.status_code < 400)
    except (DBAPIError, *errors.DATABASE_ERRORS) as error:
        # Typed handlers are not called from here, and the hooks would run again.
        response = errors.respond(errors.from_database(error))
    response.headers["X-Request-ID"] = g.request_id
    limits.add_headers(response)
    headers.add_headers(response)
    if response.headers.get("ETag"):
        response.make_conditional(request)
    # Quoted, so that a line break in a path begins no line of a log that is text.
    path = quote(request.path)
    logger.info("%s %s %s", request.method, path, response.status_code, extra=_facts())
    return response


def _request_id() -> str:
    """Return the caller's id for this request if it is harmless, else one of ours."""
    claimed = request.headers.get("X-Request-ID", "")
    return claimed if REQUEST_ID.fullmatch(claimed) else secrets.token_hex(4)


def _options() -> Response:
    """Answer what a browser asks before a call: what exists is not told, only what may be sent."""
    response = current_app.response_class(status=204)
    if request.url_rule:
        response.headers["Allow"] = ", ".join(sorted(request.url_rule.methods or ()))
    return response


def _facts() -> dict[str, Any]:
    """Return what the log says of a request: the route, not the path, is what to group by."""
    return {
        "route": str(request.url_rule),
        "ms": g.actor.elapsed_ms(),
        "admin": g.actor.admin_id and str(g.actor.admin_id),
        "ip": g.actor.address,
    }
