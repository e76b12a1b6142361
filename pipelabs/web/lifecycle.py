"""The start and the end of every request."""

import logging
import re
import secrets
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import DBAPIError

from pipelabs.core.db import finish
from pipelabs.core.errors import TooLarge
from pipelabs.web import auth, console_session, csrf, errors, headers, rate_limit
from pipelabs.web.operation import SAFE_METHODS
from pipelabs.web.paths import CONSOLE_PATH, is_below

logger = logging.getLogger("pipelabs.request")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


def init_app(app: Flask) -> None:
    """Open every request before anything else runs, and close it after everything else."""
    app.before_request(_start)
    app.after_request(_end)


def _start() -> Response | None:
    """Name the request and the caller before anything is read or counted."""
    g.request_id = _request_id()
    g.actor = auth.anonymous(request, g.request_id)
    if request.method == "OPTIONS":
        return _options()
    if (request.content_length or 0) > current_app.config["MAX_CONTENT_LENGTH"]:
        raise TooLarge("The body is larger than this address takes.")
    is_page = is_below(request.path, CONSOLE_PATH)
    if auth.is_guarded():
        g.actor = console_session.identify(g.actor) if is_page else auth.identify(g.actor)
    if is_page and request.method not in SAFE_METHODS:
        csrf.reject_forgery()
    return None


def _end(response: Response) -> Response:
    """Commit what succeeded, roll back what did not; the answer leaves after the commit."""
    is_write = request.method not in SAFE_METHODS
    try:
        finish(commit=is_write and response.status_code < 400)
    except (DBAPIError, *errors.DATABASE_ERRORS) as error:
        # Typed handlers are not called from here, and the hooks would run again.
        response = errors.respond(errors.from_database(error))
    response.headers["X-Request-ID"] = g.request_id
    rate_limit.add_headers(response)
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
    """Success what a browser asks before a call: what exists is not told, only what may be sent."""
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
