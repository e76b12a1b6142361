"""Errors over HTTP: exception → envelope or page, and the audit row of the denied attempt."""

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify, request
from sqlalchemy.exc import (
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from pipelabs.accounts import sessions
from pipelabs.audit import trail
from pipelabs.audit.trail import Attempt
from pipelabs.core.db import finish, unit_of_work
from pipelabs.core.errors import Duplicate, PipeLabsError, SessionReplayed, Throttled, Unavailable
from pipelabs.models import Base, Outcome
from pipelabs.web import idempotency, pages, rate_limit
from pipelabs.web.operation import SAFE_METHODS, denied_event
from pipelabs.web.state import current_actor

logger = logging.getLogger("pipelabs")
RETRY_AFTER_S = 5
AWAY = "database_unavailable"
"""The code of errors that get no audit row, because the table is what is missing."""
DATABASE_ERRORS = (InterfaceError, InternalError, OperationalError, PoolTimeout)
BUSY_STATES = frozenset({"57014", "55P03", "40P01", "40001", "53100", "53300"})
"""Statement time-out, lock time-out, deadlock, serialisation, disk full, too many connections."""
OUTCOMES = {
    401: Outcome.UNAUTHORIZED,
    403: Outcome.FORBIDDEN,
    429: Outcome.RATE_LIMITED,
}
SENTENCES = {
    400: ("bad_request", "The request can't be read."),
    404: ("not_found", "Not found."),
    405: ("method_not_allowed", "Method not allowed."),
    413: ("too_large", "The body is too large."),
    429: ("rate_limited", "Too many requests. Try again after the seconds in Retry-After."),
}
"""Code and message of what werkzeug and the limiter raise."""


def respond(error: PipeLabsError) -> Response:
    """Roll back, store what must outlive the denial, and answer the envelope."""
    finish(commit=False)
    response = answer(error)
    if request.method not in SAFE_METHODS and error.code != AWAY:
        try:
            _store_denial(error, response)
        except (PipeLabsError, SQLAlchemyError):
            finish(commit=False)
            logger.exception("a denial has no audit row")
    return response


def _store_denial(error: PipeLabsError, response: Response) -> None:
    """Store what the rollback would lose: an ended session, a stored 409, the audit row.

    The session ends in a transaction of its own, so that it ends even without an audit row.
    """
    if isinstance(error, SessionReplayed):
        with unit_of_work():
            sessions.end_session(error.session_id)
    with unit_of_work():
        idempotency.keep_conflict(response)
        trail.record_denied(_attempt(error), current_actor())


def envelope(error: PipeLabsError, request_id: str) -> dict[str, object]:
    """Return the one shape that every error has as JSON."""
    return {
        "success": False,
        "message": error.message,
        "request_id": request_id,
        "error": error.body(),
    }


def answer(error: PipeLabsError) -> Response:
    """Return an error as the JSON envelope or as a page, with the fields its status asks for."""
    if pages.is_page():
        response = pages.answer(error)
    else:
        response = jsonify(envelope(error, current_actor().request_id))
        response.status_code = error.status
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="pipelabs"'
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        wait_s = error.wait_s if isinstance(error, Throttled) else rate_limit.retry_after_s()
        response.headers["Retry-After"] = str(wait_s)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def from_database(error: Exception) -> PipeLabsError:
    """Return the error for a database that is unreachable, busy, or rejected a value."""
    if isinstance(error, IntegrityError):
        return integrity(error)
    logger.error("database error", exc_info=error)
    state = getattr(getattr(error, "orig", None), "pgcode", None)
    if isinstance(error, PoolTimeout) or state in BUSY_STATES:
        return Unavailable("The database is busy. Try again.", code="database_busy")
    return Unavailable("The database is unreachable. Try again.", code=AWAY)


def integrity(error: IntegrityError) -> PipeLabsError:
    """Return `Duplicate` for a unique constraint, naming the columns that its name ends in."""
    violated = getattr(error.orig, "diag", None)
    table, name = (violated.table_name, violated.constraint_name) if violated else (None, None)
    if not name or not name.startswith(f"uq_{table}_") or table not in Base.metadata.tables:
        raise error
    field = name.removeprefix(f"uq_{table}_")
    return Duplicate("Already exists", fields={field: ["This value is already taken."]})


def from_http(status: int) -> PipeLabsError:
    """Return our error for a status of werkzeug, Flask or the limiter."""
    default = ("internal", "Something went wrong. Report it with the request ID.")
    code, message = SENTENCES.get(status, default if status >= 500 else SENTENCES[400])
    error = PipeLabsError(message, code=code)
    error.status = status
    return error


def _respond_to_http(error: HTTPException) -> Response:
    """Answer what werkzeug, Flask or the limiter raised; only the log has the cause of a 500."""
    response = respond(from_http(error.code or 500))
    if allow := dict(error.get_headers()).get("Allow"):
        response.headers["Allow"] = allow
    return response


def _respond_to_database(error: Exception) -> Response:
    return respond(from_database(error))


def _attempt(error: PipeLabsError) -> Attempt:
    facts = {"code": error.code, "method": request.method, "path": request.path[:200]}
    if error.fields:
        facts["fields"] = ",".join(sorted(name[:64] for name in error.fields)[:20])
    return Attempt(denied_event(), _outcome(error), error.status, facts | error.facts)


def _outcome(error: PipeLabsError) -> Outcome:
    if isinstance(error, Duplicate):
        return Outcome.DUPLICATE
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outcome.ERROR
    return OUTCOMES.get(error.status, Outcome.INVALID)


def init_app(app: Flask) -> None:
    """Register the handlers: ours, the database's, and all that HTTP has."""
    app.register_error_handler(PipeLabsError, respond)
    app.register_error_handler(IntegrityError, _respond_to_database)
    for kind in DATABASE_ERRORS:
        app.register_error_handler(kind, _respond_to_database)
    app.register_error_handler(HTTPException, _respond_to_http)
