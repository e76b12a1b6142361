"""Which errors each view can answer, told by the decorators it already has."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

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
    UnsupportedMedia,
)
from pipelabs.models import Role
from pipelabs.web import auth
from pipelabs.web.errors import AWAY, SAFE_METHODS, from_http
from pipelabs.web.json import wrong_fields
from pipelabs.web.rate_limit import spent_by

View = Callable[..., Any]
V = TypeVar("V", bound=View)
UNAUTHENTICATED = Unauthenticated("Sign in first: send Authorization: Bearer <access token>.")
PASSWORD_DUE = Forbidden(auth.PASSWORD_DUE, code=auth.PASSWORD_DUE_CODE)
FORBIDDEN = Forbidden(f"The role {Role.VIEWER} may not do this.")
UNSUPPORTED = UnsupportedMedia("Send UTF-8 JSON with Content-Type: application/json.")
DATABASE_ERRORS = (
    Unavailable("The database is away for the moment; try again.", code=AWAY),
    Unavailable("The database is busy; try again.", code="database_busy"),
)
IDEMPOTENCY_ERRORS = (
    InProgress("The first request with this Idempotency-Key is still running. Try again later."),
    IdempotencyKeyReused("This Idempotency-Key was used with another body."),
)

UNKNOWN = {"colour": "red"}
"""What no schema has."""


def raises(*errors: PipeLabsError) -> Callable[[V], V]:
    """Note examples of what the view's own service raises; the rest is told by its decorators."""

    def decorate(view: V) -> V:
        view.errors = errors  # type: ignore[attr-defined]  # read by errors_of
        return view

    return decorate


def errors_of(
    view: View, rule: Rule, method: str, schemas: Mapping[str, Any]
) -> Iterator[PipeLabsError]:
    """Yield an example of every error that this operation can answer; `schemas` are by location."""
    needs_somebody = getattr(view, "permission", None) is not None
    yield from _of_input(schemas)
    if needs_somebody:
        yield UNAUTHENTICATED
    if needs_somebody and not getattr(view, "always", False):
        yield PASSWORD_DUE
    if is_restricted(view):
        yield FORBIDDEN
    for argument in sorted(rule.arguments):
        yield NotFound(f"There is no such {argument.removesuffix('_id')}.")
    yield from getattr(view, "errors", ())
    if getattr(view, "is_idempotent", False):
        yield from IDEMPOTENCY_ERRORS
    if spent_by(view, rule.rule):
        yield from_http(429)
    yield from_http(500)
    if needs_somebody or method.upper() not in SAFE_METHODS:
        yield from DATABASE_ERRORS


def is_restricted(view: View) -> bool:
    """Return whether some role may not call the view."""
    permission = getattr(view, "permission", None)
    return permission is not None and not all(permission in role.permissions for role in Role)


def _of_input(schemas: Mapping[str, Any]) -> Iterator[PipeLabsError]:
    """Yield what is refused of a query string and a body.

    The wrong fields of a body are those of an empty object, or one that no schema has.
    """
    if "query" in schemas:
        yield wrong_fields(schemas["query"].validate(UNKNOWN))
    if "json" in schemas:
        yield wrong_fields(schemas["json"].validate({}) or schemas["json"].validate(UNKNOWN))
        yield InvalidInput("The body is not well-formed JSON.", code="invalid_json")
        yield from_http(413)
        yield UNSUPPORTED
