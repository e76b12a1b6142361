"""Import the token pairs of clients' legacy settings as client markets."""

import json
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import array

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.service import OFFBOARDED
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.markets.legacy_settings import (
    LEGACY_KEY,
    UNIMPORTED_KEY,
    Entry,
    UnreadableEntryError,
    parse_entry,
    read_entries,
    write_entries,
)
from pipelabs.markets.quoting import check_items, insert_client_markets, items_facts
from pipelabs.markets.schemas.client_markets import NewClientMarket
from pipelabs.models import Client, Status, now
from pipelabs.models.token_pairs import Symbol

MAX_SHOWN_LENGTH = 120


class Problem(NamedTuple):
    """An entry that stays in the settings, and the reason."""

    entry: str
    reason: str


class ImportResult(NamedTuple):
    """The result for one client: markets added, entries that existed already, and problems."""

    added: int
    existing: int
    problems: list[Problem]


class Unimported(NamedTuple):
    """Entries that stay in the settings, and why."""

    entries: list[Entry]
    problems: list[Problem]

    def add(self, entry: Entry, reason: str) -> None:
        """Keep an entry, and report the reason."""
        self.entries.append(entry)
        text = json.dumps(entry.standalone, ensure_ascii=False)
        self.problems.append(Problem(text[:MAX_SHOWN_LENGTH], reason))


def list_clients_to_import() -> Sequence[UUID]:
    """Return the ids of the clients whose settings have token pairs, oldest first."""
    query = select(Client.id).where(Client.settings.has_any(array([LEGACY_KEY, UNIMPORTED_KEY])))
    return db.session.scalars(query.order_by(Client.created_at, Client.id)).all()


def import_legacy_pairs(
    client_id: UUID, default_exchange: str | None, actor: Actor
) -> ImportResult:
    """Add the markets of the client's legacy settings, and keep there what cannot be imported.

    `default_exchange` is for entries without an exchange. Running it again changes nothing more.
    """
    client = db.session.get_one(Client, client_id, with_for_update=True, populate_existing=True)
    unimported = Unimported([], [])
    items: dict[tuple[Symbol, str], tuple[Entry, NewClientMarket]] = {}
    for entry in read_entries(client.settings):
        try:
            item = parse_entry(entry, default_exchange)
            if client.status is Status.OFFBOARDED:
                raise UnreadableEntryError(OFFBOARDED)
            items.setdefault((item.symbol, item.exchange), (entry, item))
        except UnreadableEntryError as error:
            unimported.add(entry, str(error))
    added, existing = _add_markets(client_id, list(items.values()), unimported, actor)
    legacy_keys = {LEGACY_KEY, UNIMPORTED_KEY}
    settings = {name: value for name, value in client.settings.items() if name not in legacy_keys}
    if unimported.entries:
        settings[UNIMPORTED_KEY] = write_entries(unimported.entries)
    if settings != client.settings:
        client.settings, client.version, client.updated_at = settings, client.version + 1, now()
        facts = items_facts(added) | {"unimported": str(len(unimported.entries))}
        trail.record(Event.CLIENT_MARKET_IMPORTED, actor, client_id=client_id, facts=facts)
    return ImportResult(len(added), existing, unimported.problems)


def _add_markets(
    client_id: UUID,
    entries: Sequence[tuple[Entry, NewClientMarket]],
    unimported: Unimported,
    actor: Actor,
) -> tuple[list[NewClientMarket], int]:
    """Add what can be added; return it, and the number of markets that existed already."""
    items = [item for _, item in entries]
    checked = check_items(client_id, items, actor)
    for place, (entry, _) in enumerate(entries):
        if not checked.can_add(place) and not checked.is_existing(place):
            unimported.add(entry, checked.describe_error(place))
    places = [place for place in range(len(items)) if checked.can_add(place)]
    added = [items[place] for place in places]
    insert_client_markets(client_id, added, [checked.markets[place].id for place in places])
    return added, len(checked.existing)
