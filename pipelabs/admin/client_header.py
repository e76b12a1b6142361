"""What all pages of a client share: where one came from, the header, the tabs, what is wrong."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from pipelabs.clients import wallets
from pipelabs.clients.explorers import EXPLORERS
from pipelabs.clients.neighbours import Neighbours, find_neighbours
from pipelabs.clients.schemas import ClientsQuery
from pipelabs.clients.service import TRANSITIONS
from pipelabs.core.pagination import MAX_COUNTED
from pipelabs.hub.client import ClientHub, open_hub
from pipelabs.hub.onboarding import check_onboarding
from pipelabs.hub.problems import find_problems
from pipelabs.web.origin import Origin, read_origin
from pipelabs.web.pages import label

DATES = {
    "created_since": "created since",
    "created_until": "created until",
    "updated_since": "changed since",
    "updated_until": "changed until",
}


class Breadcrumb(NamedTuple):
    """The list that the page was opened from, in words, and the client's place in it."""

    origin: Origin
    words: str
    place: str
    neighbours: Neighbours


def describe_client(client_id: UUID) -> dict[str, Any]:
    """Return the context of `layouts/client.html`, or raise `NotFound`."""
    hub = open_hub(client_id)
    breadcrumb = _find_breadcrumb(hub)
    return {
        "hub": hub,
        "client": hub.client,
        "breadcrumb": breadcrumb,
        "origin": breadcrumb.origin.text if breadcrumb else None,
        "explorer": EXPLORERS[hub.client.chain],
        "problems": find_problems(hub),
        "onboarding": check_onboarding(hub),
        "is_final": not TRANSITIONS[hub.client.status],
    }


def _find_breadcrumb(hub: ClientHub) -> Breadcrumb | None:
    origin = read_origin(ClientsQuery)
    if origin is None:
        return None
    filters = origin.loaded
    neighbours = find_neighbours(hub.client.id, filters, filters["sort"])
    return Breadcrumb(origin, ", ".join(_word_filters(origin)), _word_place(neighbours), neighbours)


def _word_filters(origin: Origin) -> Iterator[str]:
    loaded = origin.loaded
    if q := loaded["q"]:
        yield f"“{q}”"
    if wallet := loaded.get("wallet_address"):
        yield wallets.shorten(wallet.address)
    for name in ("tier", "status", "chain"):
        if value := loaded.get(name):
            yield label(value.value)
    for name, words in DATES.items():
        if name in loaded:
            yield f"{words} {origin.parameters[name]}"


def _word_place(neighbours: Neighbours) -> str:
    """Return the place as text. It is known as far as lists are counted."""
    if neighbours.position is None:
        is_long = neighbours.total > MAX_COUNTED
        return f"more than {MAX_COUNTED:,}" if is_long else "not in this list"
    if neighbours.total > MAX_COUNTED:
        return f"{neighbours.position:,} of more than {MAX_COUNTED:,}"
    return f"{neighbours.position:,} of {neighbours.total:,}"
