"""The errors that each operation documents, derived from its declaration."""

from collections.abc import Iterator

from werkzeug.routing import Rule

from pipelabs.core.errors import (
    Forbidden,
    IdempotencyKeyReused,
    InProgress,
    InvalidInput,
    NotFound,
    PipeLabsError,
    Unauthenticated,
    Unavailable,
    Undecryptable,
    UnsupportedMedia,
)
from pipelabs.core.idempotency import ALTERED
from pipelabs.machines import authentication
from pipelabs.models import Role
from pipelabs.web import auth, machine_auth
from pipelabs.web.errors import DATABASE_UNAVAILABLE, from_http
from pipelabs.web.etags import NOT_AN_ETAG
from pipelabs.web.json import invalid_fields
from pipelabs.web.operation import SAFE_METHODS, Operation
from pipelabs.web.rate_limit import budgets_of

UNAUTHENTICATED = Unauthenticated("Sign in first: send Authorization: Bearer <access token>.")
PASSWORD_DUE = Forbidden(auth.PASSWORD_DUE, code=auth.PASSWORD_DUE_CODE)
UNSUPPORTED = UnsupportedMedia("Send UTF-8 JSON with Content-Type: application/json.")
DATABASE_ERRORS = (
    Unavailable("The database is unreachable. Try again.", code=DATABASE_UNAVAILABLE),
    Unavailable("The database is busy. Try again.", code="database_busy"),
)
IDEMPOTENCY_ERRORS = (
    InProgress("The first request with this Idempotency-Key is still running. Try again later."),
    IdempotencyKeyReused("This Idempotency-Key was used with another body."),
)
INVALID_VERSION = InvalidInput(f"If-Match: {NOT_AN_ETAG}", fields={"If-Match": [NOT_AN_ETAG]})
MACHINE_ERRORS = (
    Unauthenticated(authentication.NO_TOKEN, code="machine_token_invalid"),
    Forbidden(authentication.UNAPPROVED, code="machine_unapproved"),
)
SUSPENDED = tuple(Forbidden(sentence, code=code) for code, sentence in machine_auth.DENIED.values())
UNKNOWN_FIELD = {"colour": "red"}
"""A field that no schema has."""


def documented_errors(operation: Operation, rule: Rule) -> Iterator[PipeLabsError]:
    """Yield an example of every error that the operation can respond with."""
    yield from _input_errors(operation)
    yield from _access_errors(operation)
    for argument in sorted(rule.arguments):
        yield NotFound(f"There is no such {argument.removesuffix('_id')}.")
    yield from operation.errors
    if operation.is_idempotent:
        yield from IDEMPOTENCY_ERRORS
        if operation.has_secret:
            yield Undecryptable(ALTERED)
    if budgets_of(operation, rule.rule):
        yield from_http(429)
    yield from_http(500)
    if not operation.is_public or operation.method not in SAFE_METHODS:
        yield from DATABASE_ERRORS


def _access_errors(operation: Operation) -> Iterator[PipeLabsError]:
    if operation.is_for_machines:
        yield from MACHINE_ERRORS
        if not operation.allows_suspended_machine:
            yield from SUSPENDED
    if operation.permission is None:
        return
    yield UNAUTHENTICATED
    if not operation.allows_password_due:
        yield PASSWORD_DUE
    if operation.is_restricted:
        yield Forbidden(auth.missing_permission(operation.permission, Role.VIEWER))


def _input_errors(operation: Operation) -> Iterator[PipeLabsError]:
    """Yield examples of the errors of a query string and a body.

    Those of a body are its missing fields, or an unknown field if it has no required ones.
    """
    if query := operation.query:
        yield invalid_fields(query.validate(UNKNOWN_FIELD))
    if operation.is_versioned:
        yield INVALID_VERSION
    if body := operation.body:
        yield invalid_fields(body.validate({}) or body.validate(UNKNOWN_FIELD))
        yield InvalidInput("The body is not well-formed JSON.", code="invalid_json")
        yield from_http(413)
        yield UNSUPPORTED
