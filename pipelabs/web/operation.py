"""One declaration per route, read by the guard, limiter, OpenAPI document and audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flask import current_app, request
from flask.sansio.app import App
from marshmallow import Schema

from pipelabs.audit.events import Event
from pipelabs.core.errors import PipeLabsError
from pipelabs.models import Permission, Role

REGISTRY = "pipelabs.operations"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ADMIN_API_PATH = "/api/admin"
"""Every call below it counts against the general budget."""
CONSOLE_PATH = "/admin"
"""Every request below it counts against the console budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The requirements and responses of one route.

    `permission` is None for a public route. `denied_event` is the audit event of a failed attempt.
    `allows_password_due` allows callers who must change their password first. `budget` is spent
    besides the budget of the path. A route with `takes_refresh_token` is public and checks the
    token itself. With `replayed_event` the route accepts an `Idempotency-Key`. `errors` are
    examples of the errors of its service; the document derives all others. `status` is the status
    of every successful response.
    """

    method: str
    permission: Permission | None
    denied_event: Event = Event.REQUEST_DENIED
    allows_password_due: bool = False
    takes_refresh_token: bool = False
    budget: Literal["create"] | None = None
    query: Schema | None = None
    body: Schema | None = None
    replayed_event: Event | None = None
    response: Schema | Mapping[str, Any] | None = None
    response_content_type: str = "application/json"
    response_description: str = ""
    status: int = 200
    has_etag: bool = False
    errors: tuple[PipeLabsError, ...] = ()

    @property
    def is_public(self) -> bool:
        """Return whether anonymous callers may call it."""
        return self.permission is None

    @property
    def is_restricted(self) -> bool:
        """Return whether some role lacks the permission."""
        return self.permission is not None and not all(
            self.permission in role.permissions for role in Role
        )

    @property
    def is_idempotent(self) -> bool:
        """Return whether it accepts an `Idempotency-Key`."""
        return self.replayed_event is not None


def register(app: App, endpoint: str, operation: Operation) -> None:
    """Add the operation of an endpoint to the application's registry."""
    registry(app)[endpoint] = operation


def registry(app: App | None = None) -> dict[str, Operation]:
    """Return endpoint → operation, in the order of registration."""
    operations: dict[str, Operation]
    operations = (app or current_app).extensions.setdefault(REGISTRY, {})
    return operations


def current_operation() -> Operation | None:
    """Return the operation of the current request, or None if no route matches."""
    return registry().get(request.endpoint or "")


def denied_event() -> Event:
    """Return the audit event for denying the current request."""
    operation = current_operation()
    return operation.denied_event if operation else Event.REQUEST_DENIED


def success_status() -> int | None:
    """Return the status of the current request's successful response."""
    operation = current_operation()
    return operation.status if operation else None


def is_below(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix` or below it."""
    return path == prefix or path.startswith(f"{prefix}/")
