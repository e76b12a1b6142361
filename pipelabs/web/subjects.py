"""What a request names: ids in its path and in its validated input, as facts of the audit trail."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from flask import request

from pipelabs.audit import subjects
from pipelabs.audit.events import Event
from pipelabs.audit.trail import Attempt
from pipelabs.exchanges import registry
from pipelabs.models import Outcome
from pipelabs.models.token_pairs import Symbol
from pipelabs.web.operation import current_actor, has_actor, request_state

ARGUMENTS = {
    "admin_id": "admin",
    "approval_id": "approval",
    "client_id": "client_id",
    "client_market_id": "client_market",
    "exchange": subjects.EXCHANGE,
    "grant_id": "grant",
    "key_id": "key",
    "machine_id": "machine",
    "market_id": "market",
    "stop_id": "stop",
    "token_id": "api_token",
    "token_pair_id": "token_pair",
}
"""Name in a path or an input → fact."""
CREATED = ("name", "email", "symbol")
"""What a rejected creation would have been called."""
IN_PATHS, IN_INPUTS = tuple(ARGUMENTS), (*ARGUMENTS, *CREATED)


def remember(loaded: Any) -> None:
    """Keep the validated input of the request, or its valid fields if others are wrong."""
    if has_actor():
        request_state().loaded.append(loaded)


def named_by_request() -> dict[str, str]:
    """Return what the path and the input of the request name. An anonymous input names nothing."""
    named: dict[str, str] = {}
    actor = current_actor()
    if actor.admin_id or actor.machine_id:
        for loaded in request_state().loaded:
            named |= _read(loaded, IN_INPUTS)
    return named | named_by_path()


def named_by_path() -> dict[str, str]:
    """Return what the path of the request names."""
    return dict(_read(request.view_args or {}, IN_PATHS))


def named_by_response(noun: str, members: Mapping[str, Any]) -> dict[str, str]:
    """Return what a stored response names: the new thing, its client and its exchange."""
    item = members.get(noun)
    if noun not in subjects.KINDS or not isinstance(item, Mapping):
        return {}
    own = subjects.NAMES[subjects.Kind(noun)]
    values = {"client_id": item.get("client_id"), subjects.EXCHANGE: item.get("exchange")}
    values[own] = item.get("id")
    return {name: value for name, value in values.items() if isinstance(value, str)}


def attempt(event: Event, outcome: Outcome, status: int, facts: Mapping[str, str]) -> Attempt:
    """Return an attempt whose client is the one that the facts name."""
    own = dict(facts)
    client_id = own.pop("client_id", None)
    return Attempt(event, outcome, status, own, UUID(client_id) if client_id else None)


def _read(source: Any, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        is_mapping = isinstance(source, Mapping)
        value = source.get(name) if is_mapping else getattr(source, name, None)
        if text := _to_text(name, value):
            yield ARGUMENTS.get(name, name), text


def _to_text(name: str, value: Any) -> str:
    if name == subjects.EXCHANGE:
        known = registry.find(value) if isinstance(value, str) else None
        return known.slug if known else ""
    if isinstance(value, Symbol):
        return value.text
    return str(value) if isinstance(value, str | UUID) else ""
