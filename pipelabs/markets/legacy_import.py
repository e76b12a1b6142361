"""Lift the token pairs of clients' old settings into rows."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import array

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.markets.client_markets import OFFBOARDED
from pipelabs.markets.legacy_settings import LEFT, TOLD, Entry, Unreadable, entries_of, kept, read
from pipelabs.markets.quoting import Item, facts_of, find_places, insert_client_markets
from pipelabs.models import Client, Status, now

MAX_SHOWN_LENGTH = 120


class Problem(NamedTuple):
    """An entry that stays in the settings, and why."""

    entry: str
    reason: str


class Lifted(NamedTuple):
    """What became of one client: markets added, entries that were there as rows, and what stays."""

    added: int
    held: int
    problems: list[Problem]


def clients_to_lift() -> Sequence[UUID]:
    """Return the clients whose settings tell token pairs, the oldest first."""
    wanted = select(Client.id).where(Client.settings.has_any(array([TOLD, LEFT])))
    return db.session.scalars(wanted.order_by(Client.created_at, Client.id)).all()


def lift(client_id: UUID, exchange: str | None, actor: Actor) -> Lifted:
    """Make rows of what the client's settings tell, and keep there what cannot be read.

    `exchange` is for entries that name none. Done again, it does nothing more.
    """
    client = db.session.get_one(Client, client_id, with_for_update=True, populate_existing=True)
    left: list[Entry] = []
    problems: list[Problem] = []
    items: dict[Any, tuple[Entry, Item]] = {}
    for entry in entries_of(client.settings):
        try:
            item = read(entry, exchange)
            if client.status is Status.OFFBOARDED:
                raise Unreadable(OFFBOARDED)
            items.setdefault((item["symbol"], item["exchange"]), (entry, item))
        except Unreadable as error:
            _keep(entry, str(error), left, problems)
    added, held = _store(client_id, list(items.values()), left, problems, actor)
    settings = {name: value for name, value in client.settings.items() if name not in {TOLD, LEFT}}
    settings |= {LEFT: kept(left)} if left else {}
    if settings != client.settings:
        client.settings, client.version, client.updated_at = settings, client.version + 1, now()
        facts = facts_of(added) | {"left": str(len(left))}
        trail.record(Event.CLIENT_MARKET_IMPORTED, actor, client_id=client_id, facts=facts)
    return Lifted(len(added), held, problems)


def _store(
    client_id: UUID,
    found: Sequence[tuple[Entry, Item]],
    left: list[Entry],
    problems: list[Problem],
    actor: Actor,
) -> tuple[list[Item], int]:
    """Add what can be added; return it, and how many were there already."""
    items = [item for _, item in found]
    places = find_places(client_id, items, actor)
    for place, (entry, _) in enumerate(found):
        if reason := places.reason(place):
            _keep(entry, reason, left, problems)
    good = [place for place in range(len(items)) if places.is_free(place)]
    added = [items[place] for place in good]
    insert_client_markets(client_id, added, [places.found[place].id for place in good])
    return added, len(places.held)


def _keep(entry: Entry, reason: str, left: list[Entry], problems: list[Problem]) -> None:
    left.append(entry)
    text = json.dumps(entry.alone, ensure_ascii=False)
    problems.append(Problem(text[:MAX_SHOWN_LENGTH], reason))
