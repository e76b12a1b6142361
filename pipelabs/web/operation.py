"""One declaration per route, and the state of the request that runs it.

The guard, limiter, OpenAPI document and audit trail read the declaration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, cast
from uuid import UUID

from flask import g, has_request_context
from flask.sansio.app import App
from limits import RateLimitItem
from limits.util import WindowStats
from marshmallow import Schema

from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.errors import PipeLabsError, Stale
from pipelabs.core.idempotency import Claim
from pipelabs.core.settings import current_context
from pipelabs.machines.authentication import Caller
from pipelabs.models import Permission, Role

REGISTRY = "pipelabs.operations"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ADMIN_API_PATH = "/api/admin"
"""Every call below it counts against the general budget."""
CONSOLE_PATH = "/admin"
"""Every request below it counts against the console budget."""
BACK_FIELD = "back"
"""The field and the parameter of the page to go back to."""
DRAFT_FIELD = "draft"
"""The field and the parameter of what was typed before the session ended."""
MACHINE_PATH = "/api/machine"
"""Every call below it counts against the machine budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The requirements and responses of one route.

    `permission` is None for a public route, and for one that only machines call. `denied_event` is
    the audit event of a failed attempt. `allows_password_due` allows callers who must change their
    password first, `allows_suspended_machine` machines that may hold no keys. `budget` is spent
    besides the budget of the path. A route with `takes_refresh_token` is public and checks the
    token itself. With `replayed_event` the route accepts an `Idempotency-Key`. `has_secret` means
    that the body or the response contains a secret. `form` is the schema of a form that is shown at
    the same path and worth keeping if the session has ended. `errors` are examples of the errors of
    its service; the document derives all others. `status` is that of every successful response.
    """

    method: str
    permission: Permission | None
    is_for_machines: bool = False
    allows_suspended_machine: bool = False
    denied_event: Event = Event.REQUEST_DENIED
    allows_password_due: bool = False
    takes_refresh_token: bool = False
    budget: Literal["batch", "create"] | None = None
    query: Schema | None = None
    form: type[Schema] | None = None
    body: Schema | None = None
    replayed_event: Event | None = None
    has_secret: bool = False
    response: Schema | Mapping[str, Any] | None = None
    response_content_type: str = "application/json"
    response_description: str = ""
    status: int = 200
    has_etag: bool = False
    errors: tuple[PipeLabsError, ...] = ()

    @property
    def is_public(self) -> bool:
        """Return whether anonymous callers may call it."""
        return self.permission is None and not self.is_for_machines

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

    @property
    def is_versioned(self) -> bool:
        """Return whether it accepts `If-Match`."""
        return any(isinstance(error, Stale) for error in self.errors)

    @property
    def is_conditional(self) -> bool:
        """Return whether it accepts `If-None-Match`."""
        return self.has_etag and self.method in SAFE_METHODS


class ShowsErrors(Protocol):
    """A form that shows an error beside its fields."""

    @property
    def has_secret(self) -> bool:
        """Return whether a secret is typed into it."""

    def set_errors(self, error: PipeLabsError) -> None:
        """Store the messages of the error."""


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """A form to render again after an error, with its template and the template's context."""

    template: str
    form: ShowsErrors
    context: Mapping[str, Any]


class Spent(NamedTuple):
    """A budget that the request has spent one of: its limit, and what is left of it."""

    item: RateLimitItem
    stats: WindowStats


@dataclass(frozen=True, slots=True)
class Draft:
    """Values to show in a form instead of those that it would have."""

    schema: type[Schema]
    values: Mapping[str, str]


@dataclass(slots=True)
class RequestState:
    """The caller, the operation, the spent budgets, and what only some requests have.

    `operation` is None if no route matches. With `keeps_page` the browser may keep the page, to go
    back to it. `loaded` is the validated input, or its valid fields.
    """

    actor: Actor
    operation: Operation | None = None
    spent: dict[str, Spent] = field(default_factory=dict)
    claim: Claim | None = None
    machine: Caller | None = None
    form: SubmittedForm | None = None
    draft: Draft | None = None
    keeps_page: bool = False
    loaded: list[Any] = field(default_factory=list)

    @property
    def request_id(self) -> str:
        """Return the id of the request. The caller may have chosen it."""
        return self.actor.request_id


def register(app: App, endpoint: str, operation: Operation) -> None:
    """Add the operation of an endpoint to the application's registry."""
    registry(app)[endpoint] = operation


def registry(app: App | None = None) -> dict[str, Operation]:
    """Return endpoint → operation, in the order of registration."""
    operations: dict[str, Operation]
    operations = (app or current_context().app).extensions.setdefault(REGISTRY, {})
    return operations


def begin(actor: Actor, operation: Operation | None = None) -> RequestState:
    """Create the state of the current request."""
    state = current_context().g.state = RequestState(actor, operation)
    return state


def find_operation(endpoint: str | None) -> Operation | None:
    """Return the operation of an endpoint, or None if there is none."""
    return registry().get(endpoint or "")


def current_operation() -> Operation | None:
    """Return the operation of the current request, or None if no route matches."""
    return request_state().operation


def denied_event() -> Event:
    """Return the audit event for denying the current request."""
    operation = current_operation()
    return operation.denied_event if operation else Event.REQUEST_DENIED


def request_state() -> RequestState:
    """Return the state of the current request."""
    state: RequestState = current_context().g.state
    return state


def current_actor() -> Actor:
    """Return the caller of the current request."""
    return request_state().actor


def current_admin_id() -> UUID:
    """Return the id of the calling admin. The request must be authenticated."""
    return cast(UUID, current_actor().admin_id)


def has_actor() -> bool:
    """Return whether there is a request with a state."""
    return has_request_context() and "state" in g


def is_below(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix` or below it."""
    return path == prefix or path.startswith(f"{prefix}/")
