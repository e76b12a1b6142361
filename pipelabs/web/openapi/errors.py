"""Which errors each operation can answer, derived from its declaration."""

from collections.abc import Iterator

from werkzeug.routing import Rule

from pipelabs.core.errors import (
    Forbidden,
    InProgress,
    InvalidInput,
    KeyReused,
    NotFound,
    PipeLabsError,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)
from pipelabs.models import Role
from pipelabs.web import auth
from pipelabs.web.errors import AWAY, from_http
from pipelabs.web.json import wrong_fields
from pipelabs.web.operation import SAFE_METHODS, Operation
from pipelabs.web.rate_limit import spent_by

UNAUTHENTICATED = Unauthenticated("Sign in first: send Authorization: Bearer <access token>.")
PASSWORD_DUE = Forbidden(auth.PASSWORD_DUE, code=auth.PASSWORD_DUE_CODE)
UNSUPPORTED = UnsupportedMedia("Send UTF-8 JSON with Content-Type: application/json.")
DATABASE_ERRORS = (
    Unavailable("The database is unreachable. Try again.", code=AWAY),
    Unavailable("The database is busy. Try again.", code="database_busy"),
)
IDEMPOTENCY_ERRORS = (
    InProgress("The first request with this Idempotency-Key still runs."),
    KeyReused("This Idempotency-Key was used for another body."),
)
UNKNOWN_FIELD = {"colour": "red"}
"""What no schema has."""


def errors_of(operation: Operation, rule: Rule) -> Iterator[PipeLabsError]:
    """Yield an example of every error that the operation can answer."""
    yield from _input_errors(operation)
    if operation.permission is not None:
        yield UNAUTHENTICATED
        if not operation.allows_password_due:
            yield PASSWORD_DUE
        if operation.is_restricted:
            yield Forbidden(auth.missing_permission(operation.permission, Role.VIEWER))
    for argument in sorted(rule.arguments):
        yield NotFound(f"There is no such {argument.removesuffix('_id')}.")
    yield from operation.errors
    if operation.is_idempotent:
        yield from IDEMPOTENCY_ERRORS
    if spent_by(operation, rule.rule):
        yield from_http(429)
    yield from_http(500)
    if not operation.is_public or operation.method not in SAFE_METHODS:
        yield from DATABASE_ERRORS


def _input_errors(operation: Operation) -> Iterator[PipeLabsError]:
    """Yield the errors of a query string and a body.

    The wrong fields of a body are those of an empty object, or one that no schema has.
    """
    if query := operation.query:
        yield wrong_fields(query.validate(UNKNOWN_FIELD))
    if body := operation.body:
        yield wrong_fields(body.validate({}) or body.validate(UNKNOWN_FIELD))
        yield InvalidInput("The body is not well-formed JSON.", code="invalid_json")
        yield from_http(413)
        yield UNSUPPORTED
