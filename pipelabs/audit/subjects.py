"""What an audit event is about: its subject, its client and its exchange.

`place` decides it for every event, from the noun of the event's name and the facts that the caller
records. A denied attempt often knows an id only, so the domain of the noun tells the rest.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db

SUBJECT, EXCHANGE = "subject", "exchange"
"""Names of the facts that `place` adds."""


class Kind(StrEnum):
    """Kind of a subject: the noun of its events."""

    ADMIN = "admin"
    API_KEY = "api_key"
    API_TOKEN = "api_token"  # noqa: S105 - a noun
    APPROVAL = "approval"
    CLIENT = "client"
    CLIENT_MARKET = "client_market"
    EXCHANGE = "exchange"
    GRANT = "grant"
    LEASE = "lease"
    MACHINE = "machine"
    MARKET = "market"
    STOP = "stop"
    TOKEN_PAIR = "token_pair"  # noqa: S105 - a noun
    VAULT = "vault"


KINDS = frozenset(Kind)
FACTS: Mapping[str, Kind] = {
    "admin": Kind.ADMIN,
    "key": Kind.API_KEY,
    "api_token": Kind.API_TOKEN,
    "approval": Kind.APPROVAL,
    "client_id": Kind.CLIENT,
    "client_market": Kind.CLIENT_MARKET,
    EXCHANGE: Kind.EXCHANGE,
    "grant": Kind.GRANT,
    "lease": Kind.LEASE,
    "machine": Kind.MACHINE,
    "market": Kind.MARKET,
    "stop": Kind.STOP,
    "token_pair": Kind.TOKEN_PAIR,
    "version": Kind.VAULT,
}
"""Fact → the kind of what it names by its id; an exchange by its slug, the vault by its version."""
NAMES = {kind: fact for fact, kind in FACTS.items()}
OTHERS = (
    Kind.API_KEY,
    Kind.CLIENT_MARKET,
    Kind.CLIENT,
    Kind.MACHINE,
    Kind.MARKET,
    Kind.EXCHANGE,
    Kind.ADMIN,
)
"""What an event is about that names nothing of its own noun, in this order.

Such an event adds something, like several markets of a client, or was denied before there was a
row.
"""
OWN_EVENTS = frozenset(
    {
        Event.ADMIN_PASSWORD_CHANGED,
        Event.ADMIN_PASSWORD_CHANGE_DENIED,
        Event.ADMIN_SESSION_RENEWED,
        Event.ADMIN_SIGNED_IN,
        Event.ADMIN_SIGNED_OUT,
        Event.AUDIT_EXPORTED,
    }
)
"""Events that are about the admin who causes them."""


class Place(NamedTuple):
    """The client and the exchange that something belongs to, as far as it has them."""

    client_id: UUID | None = None
    exchange: str | None = None


Find = Callable[[UUID], Place | None]
_finders: dict[Kind, Find] = {}


def register(kind: Kind) -> Callable[[Find], Find]:
    """Let the decorated function find the client and the exchange of a subject by its id.

    It sends one query, and returns None if there is no such row.
    """

    def add(function: Find) -> Find:
        _finders[kind] = function
        return function

    return add


def find_place(kind: Kind, subject_id: str) -> Place:
    """Return the client and the exchange of a subject. Both are None if nothing is known."""
    finder = _finders.get(kind)
    try:
        place = finder(UUID(subject_id)) if finder else None
    except ValueError:
        return Place()
    return place or Place()


def place(
    event: Event, facts: Mapping[str, str], client_id: UUID | None, actor: Actor
) -> tuple[dict[str, str], UUID | None]:
    """Return the facts with `subject`, and the id of the client that the event is about."""
    placed = dict(facts)
    client_id = client_id or _client_of(facts)
    if subject := _subject_of(event, facts, client_id, actor):
        placed[SUBJECT] = subject
    return placed, client_id


def place_denied(
    event: Event, facts: Mapping[str, str], client_id: UUID | None, actor: Actor
) -> tuple[dict[str, str], UUID | None]:
    """Return the same for a denied attempt, with what the domain of the subject knows.

    Nothing is looked up for an anonymous caller. An error of the database leaves it out.
    """
    placed, client_id = place(event, facts, client_id, actor)
    kind, _, subject_id = placed.get(SUBJECT, "").partition(":")
    is_known = actor.admin_id or actor.machine_id
    if not is_known or kind not in _finders or (client_id and EXCHANGE in facts):
        return placed, client_id
    try:
        with db.session.begin_nested():
            found = find_place(Kind(kind), subject_id)
    except SQLAlchemyError:
        return placed, client_id
    if found.exchange:
        placed.setdefault(EXCHANGE, found.exchange)
    return placed, client_id or found.client_id


def parse(subject: str) -> tuple[Kind, str] | None:
    """Return the kind and the id of a subject such as `market:…`, or None for other text."""
    kind, colon, subject_id = subject.partition(":")
    return (Kind(kind), subject_id) if kind in KINDS and colon and subject_id else None


def _subject_of(
    event: Event, facts: Mapping[str, str], client_id: UUID | None, actor: Actor
) -> str | None:
    own = Kind(noun) if (noun := event.partition(".")[0]) in KINDS else None
    for kind in _candidates(own):
        if kind is Kind.CLIENT:
            subject_id = str(client_id) if client_id else ""
        else:
            subject_id = facts.get(NAMES[kind], "")
        if subject_id:
            return f"{kind}:{subject_id}"
    if event in OWN_EVENTS and actor.admin_id:
        return f"{Kind.ADMIN}:{actor.admin_id}"
    return f"{Kind.MACHINE}:{actor.machine_id}" if actor.machine_id else None


def _candidates(own: Kind | None) -> Iterator[Kind]:
    if own:
        yield own
    yield from OTHERS


def _client_of(facts: Mapping[str, str]) -> UUID | None:
    try:
        return UUID(facts["client_id"])
    except (KeyError, ValueError):
        return None
