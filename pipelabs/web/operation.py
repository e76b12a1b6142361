"""One declaration per route: what the guard, the limiter, the document and the trail read."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one route needs and how it answers.

    `permission` None is public. `denied_event` is the audit event of an attempt that fails;
    `allows_password_due` admits callers who must choose a password first. A call spends from
    `budget` besides the budget of its path. `takes_refresh_token` routes are public and check it
    themselves. `replayed_event` makes the route take an
    `Idempotency-Key`. `errors` are examples of what its service raises; the document derives the
    rest. `status` is the status of every success.
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
        """Return whether anonymous callers are let in."""
        return self.permission is None

    @property
    def is_restricted(self) -> bool:
        """Return whether some role lacks the permission."""
        return self.permission is not None and not all(
            self.permission in role.permissions for role in Role
        )

    @property
    def is_idempotent(self) -> bool:
        """Return whether an `Idempotency-Key` is taken."""
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
    """Return the operation that this request's path and method lead to, if any."""
    return registry().get(request.endpoint or "")


def denied_event() -> Event:
    """Return the audit event for denying the current request."""
    operation = current_operation()
    return operation.denied_event if operation else Event.REQUEST_DENIED


def success_status() -> int | None:
    """Return the status with which the current request will succeed."""
    operation = current_operation()
    return operation.status if operation else None
