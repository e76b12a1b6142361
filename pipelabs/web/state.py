"""What is known about the current request, in one place."""

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

    def take(self, error: PipeLabsError) -> None:
        """Remember what was wrong."""


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """A form that an error shows again: its template and the template's further context."""

    template: str
    form: ShowsErrors
    context: Mapping[str, Any]


@dataclass(slots=True)
class RequestState:
    """The caller, the budgets as they were spent, the idempotency claim and the submitted form."""

    actor: Actor
    budgets: dict[tuple[str, ...], WindowStats] = field(default_factory=dict)
    claim: Claim | None = None
    form: SubmittedForm | None = None

    @property
    def request_id(self) -> str:
        """Return the id of the request, which its caller may have chosen."""
        return self.actor.request_id


def begin(actor: Actor) -> RequestState:
    """Open the state of the current request."""
    g.state = RequestState(actor)
    return request_state()


def request_state() -> RequestState:
    """Return the state of the current request."""
    state: RequestState = g.state
    return state


def current_actor() -> Actor:
    """Return who makes the current request."""
    return request_state().actor


def current_admin_id() -> UUID:
    """Return the id of the admin who makes the current request, which is not anonymous."""
    return cast(UUID, current_actor().admin_id)


def has_actor() -> bool:
    """Return whether a request has been opened."""
    return has_request_context() and "state" in g
