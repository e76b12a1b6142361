"""What can be done to a thing that the palette has found: links to the pages that confirm it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from flask import url_for

from pipelabs.models import KeyStage, MachineStatus, MarketStatus, Permission, Status, StopScope
from pipelabs.search.terms import FILLERS
from pipelabs.search.things import SearchKind, Thing
from pipelabs.web.pages import can

OPEN = frozenset({Status.ACTIVE.value, Status.PAUSED.value, Status.SUSPENDED.value})
"""Statuses of a client that can still change."""


class Act(NamedTuple):
    """An act on a kind of things, while they have one of the statuses."""

    kind: SearchKind
    label: str
    """With braces for the name."""
    verbs: tuple[str, ...]
    """What is typed to ask for it."""
    endpoint: str
    argument: str
    permission: Permission
    statuses: frozenset[str] | None = None
    scope: StopScope | None = None

    def url(self, thing: Thing) -> str:
        """Return the URL of the page that confirms it."""
        parameters: dict[str, Any] = {self.argument: thing.id} | (
            {"scope": self.scope} if self.scope else {}
        )
        return url_for(f"admin.{self.endpoint}", **parameters)


def _client(
    label: str, verbs: tuple[str, ...], endpoint: str, permission: Permission, *statuses: Status
) -> Act:
    states = frozenset(status.value for status in statuses) or OPEN
    return Act(SearchKind.CLIENT, label, verbs, endpoint, "client_id", permission, states)


def _market(label: str, verbs: tuple[str, ...], endpoint: str, *statuses: MarketStatus) -> Act:
    states = frozenset(status.value for status in statuses) or None
    permission = Permission.TOKEN_PAIRS_WRITE
    return Act(SearchKind.MARKET, label, verbs, endpoint, "market_id", permission, states)


def _key(label: str, verbs: tuple[str, ...], endpoint: str) -> Act:
    states = frozenset({KeyStage.LIVE.value})
    return Act(
        SearchKind.API_KEY, label, verbs, endpoint, "key_id", Permission.API_KEYS_WRITE, states
    )


def _machine(label: str, verbs: tuple[str, ...], endpoint: str, status: MachineStatus) -> Act:
    states = frozenset({status.value})
    return Act(
        SearchKind.MACHINE, label, verbs, endpoint, "machine_id", Permission.MACHINES_WRITE, states
    )


def _stop(kind: SearchKind, scope: StopScope, argument: str, *statuses: str) -> Act:
    states = frozenset(statuses) or None
    return Act(
        kind, "Stop {} …", ("stop",), "stops.new", argument, Permission.STOPS_RAISE, states, scope
    )


ACTS = (
    _client("Pause {} …", ("pause",), "clients.status", Permission.CLIENTS_WRITE, Status.ACTIVE),
    _client(
        "Reactivate {} …",
        ("reactivate", "activate", "resume"),
        "clients.status",
        Permission.CLIENTS_WRITE,
        Status.PAUSED,
        Status.SUSPENDED,
    ),
    _client(
        "Add key for {} …",
        ("add key", "add api key", "new key"),
        "api_keys.new",
        Permission.API_KEYS_WRITE,
    ),
    _client(
        "Add markets to {} …",
        ("add markets", "add market", "quote"),
        "client_markets.new",
        Permission.TOKEN_PAIRS_WRITE,
    ),
    _stop(SearchKind.CLIENT, StopScope.CLIENT, "client_id", *OPEN),
    _client("Edit {} …", ("edit",), "clients.edit", Permission.CLIENTS_WRITE),
    _client(
        "Suspend {} …",
        ("suspend",),
        "clients.status",
        Permission.CLIENTS_WRITE,
        Status.ACTIVE,
        Status.PAUSED,
    ),
    _client("Offboard {} …", ("offboard",), "clients.status", Permission.CLIENTS_WRITE),
    _market("Halt {} …", ("halt", "pause"), "markets.status", MarketStatus.TRADING),
    _market("Resume {} …", ("resume",), "markets.status", MarketStatus.HALTED),
    _market("List {} again …", ("list", "relist"), "markets.status", MarketStatus.DELISTED),
    _market("Edit {} …", ("edit",), "markets.edit"),
    _market(
        "Delist {} …", ("delist",), "markets.status", MarketStatus.TRADING, MarketStatus.HALTED
    ),
    _key("Replace {} …", ("replace",), "api_key_actions.replace"),
    _stop(SearchKind.API_KEY, StopScope.KEY, "key_id", KeyStage.LIVE.value),
    _key("Edit {} …", ("edit",), "api_keys.edit"),
    _key("Revoke {} …", ("revoke",), "api_key_actions.revoke"),
    _stop(SearchKind.EXCHANGE, StopScope.EXCHANGE, "exchange"),
    _stop(SearchKind.MACHINE, StopScope.MACHINE, "machine_id", MachineStatus.ACTIVE.value),
    _machine("Suspend {} …", ("suspend", "pause"), "machines.suspend", MachineStatus.ACTIVE),
    _machine("Resume {} …", ("resume",), "machines.resume", MachineStatus.SUSPENDED),
)
"""In the order in which they are offered."""
VERBS = sorted({verb for act in ACTS for verb in act.verbs}, key=len, reverse=True)


def split_verb(text: str) -> tuple[str, str]:
    """Return the verb that the text begins with, or "", and the rest without fillers."""
    lowered = text.lower()
    for verb in VERBS:
        if lowered == verb or lowered.startswith(f"{verb} "):
            words = text[len(verb) :].split()
            while words and words[0].lower() in FILLERS:
                words.pop(0)
            return verb, " ".join(words)
    return "", text


def list_acts(thing: Thing, verb: str = "") -> Iterator[Act]:
    """Yield what this admin can do to the thing, or the acts of the verb."""
    for act in ACTS:
        if act.kind is not thing.kind or not can(act.permission):
            continue
        if act.statuses is not None and thing.status not in act.statuses:
            continue
        if not verb or verb in act.verbs:
            yield act


def name_thing(thing: Thing) -> str:
    """Return how an act calls the thing: a key by its client too."""
    return f"{thing.label} of {thing.detail}" if thing.kind is SearchKind.API_KEY else thing.label
