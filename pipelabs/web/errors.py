"""Error handlers: exception → JSON envelope or page, and the audit row of the denied attempt."""

import logging
from http import HTTPStatus

from flask import Flask, Response, request
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
from pipelabs.core.errors import (
    Code,
    Duplicate,
    PipeLabsError,
    RefreshTokenReplayed,
    Throttled,
    Unavailable,
)
from pipelabs.models import Base, Outcome
from pipelabs.web import idempotency, json, pages, rate_limit, subjects
from pipelabs.web.operation import (
    MACHINE_PATH,
    SAFE_METHODS,
    current_actor,
    denied_event,
    is_below,
)

logger = logging.getLogger("pipelabs")
RETRY_AFTER_S = 5
DATABASE_UNAVAILABLE: Code = "database_unavailable"
"""Code of errors that get no audit row, because the audit table is unreachable too."""
DATABASE_ERRORS = (InterfaceError, InternalError, OperationalError, PoolTimeout)
BUSY_STATES = frozenset({"57014", "55P03", "40P01", "40001", "53100", "53300"})
"""Statement timeout, lock timeout, deadlock, serialisation, disk full, too many connections."""
OUTCOMES = {
    401: Outcome.UNAUTHORIZED,
    403: Outcome.FORBIDDEN,
    429: Outcome.RATE_LIMITED,
}
SENTENCES: dict[int, tuple[Code, str]] = {
    400: ("bad_request", "The request can't be read."),
    404: ("not_found", "Not found."),
    405: ("method_not_allowed", "Method not allowed."),
    413: ("too_large", "The body is too large."),
    429: ("rate_limited", "Too many requests. Try again after the seconds in Retry-After."),
}
"""Status → code and message of errors raised by werkzeug and the limiter."""


def respond(error: PipeLabsError) -> Response:
    """Roll back, store what the denial must leave behind, and return the error response."""
    finish(commit=False)
    response = render(error)
    if request.method not in SAFE_METHODS and error.code != DATABASE_UNAVAILABLE:
        try:
            _store_denial(error, response)
        except (PipeLabsError, SQLAlchemyError):
            finish(commit=False)
            logger.exception("the audit row of a denial could not be stored")
    return response


def _store_denial(error: PipeLabsError, response: Response) -> None:
    """Store what must survive the rollback: an ended session, a 409 and the audit row.

    The session is ended in a separate transaction, so it ends even if the audit row fails.
    """
    if isinstance(error, RefreshTokenReplayed):
        with unit_of_work():
            sessions.end_session(error.session_id)
    with unit_of_work():
        idempotency.store_conflict(response)
        trail.record_denied(_attempt(error), current_actor())


def envelope(error: PipeLabsError, request_id: str) -> dict[str, object]:
    """Return the JSON envelope of an error."""
    return {
        "success": False,
        "message": error.message,
        "request_id": request_id,
        "error": error.body(),
    }


def render(error: PipeLabsError) -> Response:
    """Return an error as JSON or as a page, with the headers that its status requires."""
    if pages.is_page():
        response = pages.render_error(error)
    else:
        response = json.respond(envelope(error, current_actor().request_id), error.status)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        scheme = "Machine" if is_below(request.path, MACHINE_PATH) else "Bearer"
        response.headers["WWW-Authenticate"] = f'{scheme} realm="pipelabs"'
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        wait_s = error.wait_s if isinstance(error, Throttled) else rate_limit.retry_after_s()
        response.headers["Retry-After"] = str(wait_s)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def from_database(error: Exception) -> PipeLabsError:
    """Return our error for a database that is unreachable or busy, or rejects a value."""
    if isinstance(error, IntegrityError):
        return from_integrity_error(error)
    logger.error("database error", exc_info=error)
    state = getattr(getattr(error, "orig", None), "pgcode", None)
    if isinstance(error, PoolTimeout) or state in BUSY_STATES:
        return Unavailable("The database is busy. Try again.", code="database_busy")
    return Unavailable("The database is unreachable. Try again.", code=DATABASE_UNAVAILABLE)


def from_integrity_error(error: IntegrityError) -> PipeLabsError:
    """Return `Duplicate` for a unique constraint; raise the error again for any other.

    The field is the end of the constraint's name, `uq_<table>_<column>`.
    """
    diagnosis = getattr(error.orig, "diag", None)
    table, name = (diagnosis.table_name, diagnosis.constraint_name) if diagnosis else (None, None)
    if not name or not name.startswith(f"uq_{table}_") or table not in Base.metadata.tables:
        raise error
    field = name.removeprefix(f"uq_{table}_")
    return Duplicate("Already exists", fields={field: ["This value is already taken."]})


def from_http(status: int) -> PipeLabsError:
    """Return our error for an HTTP status raised by werkzeug, Flask or the limiter."""
    default: tuple[Code, str] = ("internal", "Something went wrong. Report it with the request ID.")
    code, message = SENTENCES.get(status, default if status >= 500 else SENTENCES[400])
    error = PipeLabsError(message, code=code)
    error.status = status
    return error


def _respond_to_http(error: HTTPException) -> Response:
    """Respond to an error of werkzeug, Flask or the limiter. Only the log has the details."""
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
    facts |= subjects.named_by_request() | error.facts
    return subjects.attempt(denied_event(), _outcome(error), error.status, facts)


def _outcome(error: PipeLabsError) -> Outcome:
    if isinstance(error, Duplicate):
        return Outcome.DUPLICATE
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outcome.ERROR
    return OUTCOMES.get(error.status, Outcome.INVALID)


def init_app(app: Flask) -> None:
    """Register the handlers of our errors, of the database's and of HTTP errors."""
    app.register_error_handler(PipeLabsError, respond)
    app.register_error_handler(IntegrityError, _respond_to_database)
    for kind in DATABASE_ERRORS:
        app.register_error_handler(kind, _respond_to_database)
    app.register_error_handler(HTTPException, _respond_to_http)
