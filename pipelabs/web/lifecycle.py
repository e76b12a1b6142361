"""The application class, and what runs at the start and the end of every request."""

import logging
import re
import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

from flask import Flask, Request, Response, current_app
from flask.globals import request_ctx
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_cors import CORS
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import BadRequest

from pipelabs.core import metrics
from pipelabs.core.actor import Actor
from pipelabs.core.db import finish
from pipelabs.core.errors import InvalidHost, PipeLabsError, TooLarge
from pipelabs.core.settings import setting
from pipelabs.web import (
    assets,
    auth,
    compression,
    console_session,
    csrf,
    drafts,
    errors,
    machine_auth,
    rate_limit,
    read_routing,
)
from pipelabs.web.headers import (
    EXPOSED_HEADERS,
    HSTS,
    KEPT_FOR_BACK,
    REQUEST_HEADERS,
    SECURITY_HEADERS,
    STANDARD_REQUEST_HEADERS,
    UNCACHED,
    VARIES,
)
from pipelabs.web.operation import (
    CONSOLE_PATH,
    DRAFT_FIELD,
    MACHINE_PATH,
    SAFE_METHODS,
    begin,
    current_actor,
    find_operation,
    has_actor,
    is_below,
    request_state,
)

logger = logging.getLogger("pipelabs.request")
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./~-]*", re.ASCII)
"""What `quote` leaves as it is."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


class VisitSessions(SecureCookieSessionInterface):
    """Flask's sessions, for visits of the sign-in page. API calls have none.

    Flask would prepare to verify a cookie at every request, and to send one.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of the cookie, or an empty one."""
        if "Cookie" not in request.headers or self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Send the cookie if the session was used.

        A denied form is kept by this browser alone. Another cookie must not make it unfit.
        """
        if session.accessed:
            super().save_session(app, session, response)
            if KEPT_FOR_BACK in response.headers.items():
                response.headers["Vary"] = VARIES


class Application(Flask):
    """Flask, without what it looks for at every request and no call here has.

    Views and hooks are all plain functions, and API calls have no cookie.
    """

    session_interface = VisitSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function. Flask would look at every request whether it is a coroutine."""
        return func


class RequestFilter(logging.Filter):
    """Adds the id of the current request, which callers quote when they report a problem."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.request_id = request_state().request_id if has_actor() else None
        return True


def init_app(app: Flask) -> None:
    """Register the hooks. They run before and after those of every other module."""
    app.before_request(_start)
    # Flask calls these in reverse order, so CORS sees a response that `_end` replaces.
    app.after_request(_share_with_browsers(app))
    app.after_request(_end)
    for handler in logging.root.handlers:
        handler.addFilter(RequestFilter())


def _start() -> Response | None:
    """Identify the request and its caller before the body is read or a budget is spent."""
    incoming: Request = request_ctx.request
    operation, path = find_operation(incoming.endpoint), incoming.path
    anonymous = auth.anonymous(incoming, _request_id(incoming), operation)
    state = begin(anonymous, operation)
    if isinstance(incoming.routing_exception, BadRequest):
        raise InvalidHost("This service is not available under this host name.")
    if incoming.method == "OPTIONS":
        return _options()
    if (incoming.content_length or 0) > setting("MAX_CONTENT_LENGTH"):
        raise TooLarge("The body is too large.")
    is_page = is_below(path, CONSOLE_PATH)
    if auth.is_guarded(operation, path):
        state.actor = _identify(path)(anonymous)
    if is_page and DRAFT_FIELD in incoming.args:
        state.draft = drafts.find_draft()
    if is_page and incoming.method not in SAFE_METHODS:
        csrf.reject_forgery()
    return None


def _end(response: Response) -> Response:
    """Commit a successful write, roll back anything else, and add the response headers."""
    incoming: Request = request_ctx.request
    is_write = incoming.method not in SAFE_METHODS
    try:
        finish(commit=is_write and response.status_code < 400)
        if is_write and response.status_code < 400:
            read_routing.remember_write(response)
    except (DBAPIError, *errors.DATABASE_ERRORS) as error:
        # Flask does not call error handlers for errors raised in this hook.
        response = errors.respond(errors.from_database(error))
    except PipeLabsError as error:
        response = errors.respond(error)
    response.headers.extend([*_header_fields(incoming, response), *rate_limit.header_fields()])
    encoding = compression.choose_encoding(incoming, response)
    if encoding:
        compression.weaken_etag(response)
    if "ETag" in response.headers:
        response.make_conditional(incoming)
    if encoding and response.status_code != HTTPStatus.NOT_MODIFIED:
        compression.compress(incoming, response, encoding)
    # Quoted, so that a line break in the path can't start a new line in a text log.
    path = incoming.path if PLAIN_PATH.fullmatch(incoming.path) else quote(incoming.path)
    facts = _facts(incoming)
    route = facts["route"] if incoming.url_rule else metrics.OTHER
    seconds = facts["ms"] / 1000
    metrics.count_request(metrics.Request(route, incoming.method, response.status_code, seconds))
    logger.info("%s %s %s", incoming.method, path, response.status_code, extra=facts)
    return response


def _identify(path: str) -> Callable[[Actor], Actor]:
    """Return what identifies the callers of a path."""
    if is_below(path, CONSOLE_PATH):
        return console_session.identify
    return machine_auth.identify if is_below(path, MACHINE_PATH) else auth.identify


def _request_id(incoming: Request) -> str:
    """Return the caller's request id if it is well-formed, else a random one."""
    claimed = incoming.headers.get("X-Request-ID", "")
    return claimed if REQUEST_ID.fullmatch(claimed) else secrets.token_hex(4)


def _options() -> Response:
    """Respond to a preflight with the methods of the path, before authentication."""
    response = current_app.response_class(status=204)
    # The matched rule knows only its own methods, and several rules can share a path.
    adapter = request_ctx.url_adapter
    if methods := adapter and adapter.allowed_methods():
        response.headers["Allow"] = ", ".join(sorted(methods))
    return response


def _header_fields(incoming: Request, response: Response) -> list[tuple[str, str]]:
    """Return the request id and the security headers. Only static files may be cached."""
    fields = [("X-Request-ID", request_state().request_id), *SECURITY_HEADERS]
    # OPTIONS reads no file, so there may be none.
    is_file = incoming.endpoint == assets.ENDPOINT and incoming.method != "OPTIONS"
    if is_file and response.status_code < 400:
        # Flask has set its own.
        del response.headers["Cache-Control"]
        fields += [("Cache-Control", assets.cache_control(incoming)), ("Vary", VARIES)]
    elif request_state().keeps_page:
        fields += [KEPT_FOR_BACK, ("Vary", VARIES)]
    else:
        fields += UNCACHED
    if incoming.is_secure:
        fields.append(("Strict-Transport-Security", HSTS))
    return fields


def _facts(incoming: Request) -> dict[str, Any]:
    """Return the fields of the request's log line. `route` groups requests better than the path."""
    actor = current_actor()
    return {
        "route": str(incoming.url_rule),
        "ms": actor.elapsed_ms(),
        "admin": actor.admin_id and str(actor.admin_id),
        "ip": actor.address,
    }


def _share_with_browsers(app: Flask) -> Callable[[Response], Response]:
    """Return a hook that adds CORS headers for requests with an Origin.

    The library also looks at those without one, which takes as long as a small response.
    """
    CORS(
        app,
        resources={r"/api/.*": {"origins": app.config["CORS_ORIGINS"]}},
        methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=[*STANDARD_REQUEST_HEADERS, *REQUEST_HEADERS],
        expose_headers=list(EXPOSED_HEADERS),
        supports_credentials=False,
        always_send=False,
        max_age=600,
        # Errors are responses of our own, which the hook sees.
        intercept_exceptions=False,
    )
    add_headers = cast(Callable[[Response], Response], app.after_request_funcs[None].pop())
    return lambda response: (
        add_headers(response) if "Origin" in request_ctx.request.headers else response
    )
