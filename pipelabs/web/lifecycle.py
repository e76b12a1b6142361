"""Hooks that run at the start and the end of every request."""

import logging
import re
import secrets
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, request
from flask.globals import request_ctx
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import BadRequest

from pipelabs.core.db import finish
from pipelabs.core.errors import InvalidHost, PipeLabsError, TooLarge
from pipelabs.web import assets, auth, console_session, csrf, errors, rate_limit
from pipelabs.web.headers import HSTS, SECURITY_HEADERS
from pipelabs.web.operation import (
    CONSOLE_PATH,
    SAFE_METHODS,
    begin,
    current_actor,
    has_actor,
    is_below,
    request_state,
)

logger = logging.getLogger("pipelabs.request")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


class RequestFilter(logging.Filter):
    """Adds the id of the current request, which callers quote when they report a problem."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.request_id = request_state().request_id if has_actor() else None
        return True


def init_app(app: Flask) -> None:
    """Register the hooks. They run before and after those of every other module."""
    app.before_request(_start)
    app.after_request(_end)
    for handler in logging.root.handlers:
        handler.addFilter(RequestFilter())


def _start() -> Response | None:
    """Identify the request and its caller before the body is read or a budget is spent."""
    state = begin(auth.anonymous(request, _request_id()))
    if isinstance(request.routing_exception, BadRequest):
        raise InvalidHost("This service is not available under this host name.")
    if request.method == "OPTIONS":
        return _options()
    if (request.content_length or 0) > current_app.config["MAX_CONTENT_LENGTH"]:
        raise TooLarge("The body is too large.")
    is_page = is_below(request.path, CONSOLE_PATH)
    if auth.is_guarded():
        identify = console_session.identify if is_page else auth.identify
        state.actor = identify(state.actor)
    if is_page and request.method not in SAFE_METHODS:
        csrf.reject_forgery()
    return None


def _end(response: Response) -> Response:
    """Commit a successful write, roll back anything else, and add the response headers."""
    is_write = request.method not in SAFE_METHODS
    try:
        finish(commit=is_write and response.status_code < 400)
    except (DBAPIError, *errors.DATABASE_ERRORS) as error:
        # Flask does not call error handlers for errors raised in this hook.
        response = errors.respond(errors.from_database(error))
    except PipeLabsError as error:
        response = errors.respond(error)
    response.headers["X-Request-ID"] = request_state().request_id
    rate_limit.add_headers(response)
    _add_headers(response)
    if response.headers.get("ETag"):
        response.make_conditional(request)
    # Quoted, so that a line break in the path can't start a new line in a text log.
    path = quote(request.path)
    logger.info("%s %s %s", request.method, path, response.status_code, extra=_facts())
    return response


def _request_id() -> str:
    """Return the caller's request id if it is well-formed, else a random one."""
    claimed = request.headers.get("X-Request-ID", "")
    return claimed if REQUEST_ID.fullmatch(claimed) else secrets.token_hex(4)


def _options() -> Response:
    """Respond to a preflight with the methods of the path, before authentication."""
    response = current_app.response_class(status=204)
    # The matched rule knows only its own methods, and several rules can share a path.
    adapter = request_ctx.url_adapter
    if methods := adapter and adapter.allowed_methods():
        response.headers["Allow"] = ", ".join(sorted(methods))
    return response


def _add_headers(response: Response) -> None:
    """Add the security headers. Only static files may be cached."""
    response.headers.update(SECURITY_HEADERS)
    # OPTIONS reads no file, so there may be none.
    is_file = request.endpoint == assets.ENDPOINT and request.method != "OPTIONS"
    if is_file and response.status_code < 400:
        response.headers["Cache-Control"] = assets.cache_control(request)
    else:
        response.headers["Cache-Control"] = "no-store"
        response.vary.update(("Authorization", "Cookie", "Origin"))
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = HSTS


def _facts() -> dict[str, Any]:
    """Return the fields of the request's log line. `route` groups requests better than the path."""
    actor = current_actor()
    return {
        "route": str(request.url_rule),
        "ms": actor.elapsed_ms(),
        "admin": actor.admin_id and str(actor.admin_id),
        "ip": actor.address,
    }
