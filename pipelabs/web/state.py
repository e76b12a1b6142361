"""The state of the current request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from uuid import UUID

from flask import g, has_request_context
from limits.util import WindowStats

from pipelabs.core.actor import Actor
from pipelabs.core.errors import PipeLabsError
from pipelabs.core.idempotency import Claim


class ShowsErrors(Protocol):
    """A form that shows an error beside its fields."""

    def set_errors(self, error: PipeLabsError) -> None:
        """Store the messages of the error."""


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """A form to render again after an error, with its template and the template's context."""

    template: str
    form: ShowsErrors
    context: Mapping[str, Any]


@dataclass(slots=True)
class RequestState:
    """The caller, the spent budgets, the idempotency claim and the submitted form."""

    actor: Actor
    budgets: dict[tuple[str, ...], WindowStats] = field(default_factory=dict)
    claim: Claim | None = None
    form: SubmittedForm | None = None

    @property
    def request_id(self) -> str:
        """Return the id of the request. The caller may have chosen it."""
        return self.actor.request_id


def begin(actor: Actor) -> RequestState:
    """Create the state of the current request."""
    g.state = RequestState(actor)
    return request_state()


def request_state() -> RequestState:
    """Return the state of the current request."""
    state: RequestState = g.state
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
