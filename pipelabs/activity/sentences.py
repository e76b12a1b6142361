"""Each audit event as a sentence: “vera paused ADA/USDT on Binance for Alder Peak”."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from pipelabs.activity.names import Names
from pipelabs.activity.reasons import FACT_WORDS, REASONS
from pipelabs.activity.words import MANY_MARKETS, STATUS_VERBS, UNDONE, WORDS
from pipelabs.audit.changes import Change, read_changes
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import FACTS, Kind, parse
from pipelabs.exchanges import registry
from pipelabs.models import AuditEvent, Outcome

TOKEN = re.compile(r"\[|\]|\{(=?)(\w+)\}|[^\[\]{]+")
SLUG = re.compile(r"(?<= on )[a-z0-9]+|[a-z0-9]+(?=: [0-9])")
"""An exchange in one of `WITH_SLUGS`: `ADA/USDT on okx, BTC/USDT on gate`, `okx: 2, gate: 12`."""
WITH_SLUGS = ("markets", "exchanges")
MAX_VALUE_LENGTH = 120
"""Characters of a value that a sentence shows. The page of the event has all of it."""
UNKNOWN = {
    "about": "a request",
    "admin": "an admin",
    "api_token": "a token",
    "client": "a client",
    "client_market": "a market",
    "exchange": "an exchange",
    "key": "an API key",
    "machine": "a machine",
    "market": "a market",
    "stop": "what it covers",
    "token_pair": "a token pair",
}
"""What stands for something without a name."""
LABELS = {
    "admin": "email",
    "key": "label",
    "machine": "name",
    "api_token": "name",
    "market": "exchange_symbol",
    "client_market": "markets",
    "token_pair": "symbol",
}
"""Fact that names something → the fact that says what it was called then."""
STOPPED = {"exchange": "exchange", "client": "client_id", "key": "key", "machine": "machine"}
"""Scope of a stop → the fact that names what it covers."""
PROGRAMS = {"service": "The service", None: "Somebody who was not signed in"}


class Part(NamedTuple):
    """A part of a sentence. One with a kind is the name of something that has a page."""

    text: str
    kind: Kind | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, its sentence, and the changes that it recorded."""

    event: AuditEvent
    actor: str
    parts: tuple[Part, ...]
    name: str

    @property
    def is_denied(self) -> bool:
        """Return whether the attempt changed nothing."""
        return self.event.status is not Outcome.SUCCESS

    @property
    def text(self) -> str:
        """Return the whole sentence as text."""
        return f"{self.actor} {''.join(part.text for part in self.parts)}"


def tell(events: Sequence[AuditEvent]) -> list[Entry]:
    """Return the events with their sentences. Names are resolved with one query for each kind."""
    names = Names(events)
    return [_tell_one(event, names) for event in events]


def name_of(event: str) -> str:
    """Return the worded name of an event. One that this version does not know is shown as it is."""
    return WORDS[Event(event)].name if event in WORDS else event.replace(".", " ").replace("_", " ")


def _tell_one(event: AuditEvent, names: Names) -> Entry:
    parts = tuple(_write(event, names))
    return Entry(event, _actor(event.actor, names), parts, name_of(event.event))


def _actor(actor: str | None, names: Names) -> str:
    if actor is None or actor in PROGRAMS:
        return PROGRAMS[actor]
    kind, _, name = actor.partition(":")
    if kind == "cli":
        return f"{name} on the command line"
    return f"Machine {name}" if kind == "machine" else names.actor(actor)


def _write(event: AuditEvent, names: Names) -> Iterator[Part]:
    changes = read_changes(event.details)
    template, is_whole = _template(event, changes)
    yield from _fill(template, event, names)
    if changes:
        yield Part(", " + ", ".join(_change(change, is_named=not is_whole) for change in changes))
    if event.status is not Outcome.SUCCESS and (code := event.details.get("code")):
        reason = REASONS.get(code, code.replace("_", " "))
        fields = event.details.get("fields")
        named = fields.replace("_", " ").replace(",", ", ") if fields else ""
        yield Part(f"; denied: {reason}" + (f" ({named})" if named else ""))


def _template(event: AuditEvent, changes: Sequence[Change]) -> tuple[str, bool]:
    """Return the template, and whether it says what the changes are of."""
    if event.event not in WORDS:
        return name_of(event.event).lower(), False
    known = Event(event.event)
    if event.details.get("undo"):
        return UNDONE[known], True
    if known is Event.CLIENT_MARKET_ADDED and len(event.details.get("count", "")) > 1:
        return MANY_MARKETS, True
    if len(changes) == 1 and (verb := STATUS_VERBS.get(known, {}).get(changes[0].after)):
        return verb, True
    return WORDS[known].sentence, "changed" not in event.details


def _fill(template: str, event: AuditEvent, names: Names) -> Iterator[Part]:
    """Yield the parts of a template. Brackets around something unknown are left out."""
    outer: list[Part] = []
    inner: list[Part] | None = None
    is_known = True
    for text, is_text, name in _split(template):
        if text == "[":
            inner, is_known = [], True
        elif text == "]":
            outer += inner if inner and is_known else []
            inner = None
        else:
            part = _value(is_text, name, event, names) if name else Part(text)
            is_known = is_known and part is not None
            (outer if inner is None else inner).append(part or Part(UNKNOWN.get(name, "unknown")))
    yield from outer


@cache
def _split(template: str) -> list[tuple[str, str, str]]:
    """Return the tokens of a template: text, and the name in braces and whether it is a fact."""
    return [(token[0], token[1] or "", token[2] or "") for token in TOKEN.finditer(template)]


def _value(is_text: str, name: str, event: AuditEvent, names: Names) -> Part | None:
    details = event.details
    if is_text:
        return _fact(name, event)
    if name == "client":
        client_id = str(event.client_id) if event.client_id else ""
        return _named(Kind.CLIENT, client_id, names, details.get("name"))
    if name == "about":
        subject = parse(details.get(name, ""))
        return _about(*subject, names) if subject else None
    if name == "stop":
        return _stop(event, names)
    return _named(FACTS[name], details.get(name, ""), names, details.get(LABELS.get(name, "")))


def _fact(name: str, event: AuditEvent) -> Part | None:
    """Return a fact in words, or as it is. Exchanges have their names."""
    if not (value := event.details.get(name)):
        return None
    text = FACT_WORDS.get((event.event, name), {}).get(value, str(value))
    if name in WITH_SLUGS:
        text = SLUG.sub(lambda slug: registry.name_of(slug[0]), text)
    return Part(_shorten(text))


def _named(kind: Kind, subject_id: str, names: Names, called: str | None = None) -> Part | None:
    if subject_id and (name := names.find(kind, subject_id)):
        return Part(name, kind, subject_id)
    return Part(_shorten(called)) if called else None


def _about(kind: Kind, subject_id: str, names: Names) -> Part:
    words = {Kind.GRANT: "a grant", Kind.STOP: "lifting a stop"}
    if kind in words:
        return Part(words[kind], kind, subject_id)
    return _named(kind, subject_id, names) or Part(UNKNOWN["about"])


def _stop(event: AuditEvent, names: Names) -> Part | None:
    """Return what a stop covers."""
    scope = event.details.get("scope")
    if scope == "everything":
        return Part("everything")
    if not (fact := STOPPED.get(scope or "")):
        return None
    called = str(event.client_id or "") if fact == "client_id" else event.details.get(fact, "")
    return _named(FACTS[fact], called, names)


def _change(change: Change, *, is_named: bool) -> str:
    values = f"{_shorten(change.before) or 'none'} → {_shorten(change.after) or 'none'}"
    if change.field == "bot":
        values = values.replace("_", " ")
    return f"{change.field.replace('_', ' ')} {values}" if is_named else values


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 1]}…"
