"""Add many markets to a client at once: all of them, or none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Executable, Integer, Numeric, Row, Table, Text, Uuid, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.service import OFFBOARDED
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import db, run
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.exchanges import registry
from pipelabs.exchanges.service import NOT_FOUND
from pipelabs.markets.client_markets import SELECT_ROWS
from pipelabs.markets.markets import (
    LOOKALIKE,
    NO_SYMBOL_RULE,
    Listing,
    ensure_markets,
    find_lookalikes,
)
from pipelabs.markets.schemas.client_markets import NewClientMarket
from pipelabs.markets.symbols import format_exchange_symbol
from pipelabs.markets.token_pairs import ASSETS
from pipelabs.models import (
    Client,
    ClientMarket,
    Exchange,
    Market,
    MarketStatus,
    QuotingStatus,
    Status,
    TokenPair,
    new_id,
    now,
)
from pipelabs.models.token_pairs import Symbol

Fields = dict[str, list[str]]
TWICE = "{} on {} is in the list twice, first as item {}."
MAX_LISTED = 8
"""Markets that the audit fact `markets` names; `listed` has all of them."""
TABLE = cast(Table, ClientMarket.__table__)
TERMS = ("bot", "spread_target_bps", "daily_volume_target")
ITEMS = unnest_table("items", {"place": Integer(), **dict.fromkeys((*ASSETS, "exchange"), Text())})
FIND_MARKETS = (
    select(ITEMS.c.place, Market.id, Market.status, ClientMarket.id.label("client_market_id"))
    .select_from(ITEMS)
    .join(
        TokenPair,
        (TokenPair.base_asset == ITEMS.c.base_asset)
        & (TokenPair.quote_asset == ITEMS.c.quote_asset)
        & TokenPair.settle_asset.is_not_distinct_from(ITEMS.c.settle_asset),
    )
    .join(Market, (Market.token_pair_id == TokenPair.id) & (Market.exchange == ITEMS.c.exchange))
    .outerjoin(
        ClientMarket,
        (ClientMarket.market_id == Market.id)
        & (ClientMarket.client_id == bindparam("client_id", type_=Uuid())),
    )
)
"""The existing market of each item, and the client's market there if there is one."""
LOCK_MARKETS = FIND_MARKETS.order_by(Market.id).with_for_update(read=True, of=Market)
"""A delisting waits for this lock, so that no client is quoted in a delisted market.

Markets are locked in the order in which other changes of several markets lock them.
"""
NEW_CLIENT_MARKETS = unnest_table(
    "new_client_markets",
    {
        "id": Uuid(),
        "market_id": Uuid(),
        "bot": Text(),
        "spread_target_bps": Numeric(38, 18),
        "daily_volume_target": Numeric(38, 18),
    },
)
SHARED_COLUMNS = ("client_id", "status", "version", "created_at", "updated_at")
INSERT_CLIENT_MARKETS = insert(TABLE).from_select(
    ["id", "market_id", *TERMS, *SHARED_COLUMNS],
    select(
        *NEW_CLIENT_MARKETS.c,
        *(bindparam(name, type_=TABLE.c[name].type) for name in SHARED_COLUMNS),
    ),
    include_defaults=False,
)
"""Built once, because building takes longer than sending."""


@dataclass(frozen=True, slots=True)
class CheckedItems:
    """The result of checking a list of items.

    `markets` has the existing market of each item by its place in the list. `errors` and `existing`
    are by field, such as `markets.3.symbol`: the sentences, and the id of the client market that
    exists.
    """

    markets: dict[int, Row[*tuple[Any, ...]]]
    errors: Fields
    existing: dict[str, str]

    def can_add(self, place: int) -> bool:
        """Return whether the item can be added."""
        return not self.describe_error(place)

    def is_existing(self, place: int) -> bool:
        """Return whether the client is quoted there already."""
        return f"markets.{place}.symbol" in self.existing

    def describe_error(self, place: int) -> str:
        """Return why the item can't be added; an empty text if it can."""
        names = [f"markets.{place}.{name}" for name in ("symbol", "exchange", "exchange_symbol")]
        return next((self.errors[name][0] for name in names if name in self.errors), "")


def add_client_markets(
    client_id: UUID, items: Sequence[NewClientMarket], actor: Actor
) -> list[Row[*tuple[Any, ...]]]:
    """Add all of these markets to the client and record it, or add none.

    Token pairs and markets that do not exist are created. Return the client's new markets in the
    order of the items. Raise `NotFound`, `InvalidTransition` for an offboarded client, `Duplicate`
    if the only errors are markets that the client has already, and `InvalidInput` otherwise. Both
    name every wrong item, such as `markets.3.symbol`.
    """
    _lock_client(client_id)
    checked = check_items(client_id, items, actor)
    if errors := checked.errors:
        if checked.existing.keys() == errors.keys():
            raise Duplicate("Already quoted there", fields=errors, existing=checked.existing)
        raise InvalidInput(f"Invalid input: {', '.join(list(errors)[:10])}", fields=errors)
    market_ids = [checked.markets[place].id for place in range(len(items))]
    insert_client_markets(client_id, items, market_ids)
    added = _list_added(client_id, market_ids)
    facts = items_facts(items)
    if len(added) == 1:
        facts |= {"client_market": str(added[0].id), "exchange": items[0].exchange}
    trail.record(Event.CLIENT_MARKET_ADDED, actor, client_id=client_id, facts=facts)
    return added


def check_items(client_id: UUID, items: Sequence[NewClientMarket], actor: Actor) -> CheckedItems:
    """Create the markets that do not exist, lock the market of each item, and check each item."""
    errors, listings = _check_listings(items)
    record_created(ensure_markets(listings.values()), actor)
    markets = _find_markets(client_id, items, LOCK_MARKETS)
    return CheckedItems(markets, errors, _check_markets(items, listings, markets, errors))


def preview_items(client_id: UUID, items: Sequence[NewClientMarket]) -> CheckedItems:
    """Check each item as `check_items` does, and create nothing."""
    errors, listings = _check_listings(items)
    markets = _find_markets(client_id, items, FIND_MARKETS)
    return CheckedItems(markets, errors, _check_markets(items, listings, markets, errors))


def insert_client_markets(
    client_id: UUID, items: Sequence[NewClientMarket], market_ids: Sequence[UUID]
) -> None:
    """Insert a client market for each item; `market_ids` are in the same order."""
    created_at = now()
    rows = (
        (new_id(), market_id, *(getattr(item, name) for name in TERMS))
        for item, market_id in zip(items, market_ids, strict=True)
    )
    shared = {"client_id": client_id, "status": QuotingStatus.ACTIVE, "version": 1}
    values = column_arrays(("id", "market_id", *TERMS), rows) | shared
    run(INSERT_CLIENT_MARKETS, values | {"created_at": created_at, "updated_at": created_at})


def items_facts(items: Sequence[NewClientMarket]) -> dict[str, str]:
    """Return the audit facts of added items: their count, the first few, and all by exchange."""
    names = [f"{item.symbol.text} on {item.exchange}" for item in items]
    more = f" and {len(items) - MAX_LISTED} more" if len(items) > MAX_LISTED else ""
    counts = sorted(Counter(item.exchange for item in items).items())
    facts = {
        "count": str(len(items)),
        "markets": ", ".join(names[:MAX_LISTED]) + more,
        "exchanges": ", ".join(f"{slug}: {count}" for slug, count in counts),
    }
    return facts | ({"listed": ", ".join(names)} if more else {})


def record_created(created: Sequence[Row[UUID, str, str]], actor: Actor) -> None:
    """Record each market that was created."""
    if created:
        facts = [
            (
                None,
                {
                    "market": str(row.id),
                    "exchange": row.exchange,
                    "exchange_symbol": row.exchange_symbol,
                },
            )
            for row in created
        ]
        trail.record_each(Event.MARKET_CREATED, actor, facts)


def _find_markets(
    client_id: UUID, items: Sequence[NewClientMarket], statement: Executable
) -> dict[int, Row[*tuple[Any, ...]]]:
    """Return place → the existing market of an item."""
    rows = (
        (place, s.base_asset, s.quote_asset, s.settle_asset, exchange)
        for place, (s, exchange) in enumerate((item.symbol, item.exchange) for item in items)
    )
    values = column_arrays(("place", *ASSETS, "exchange"), rows) | {"client_id": client_id}
    return {row.place: row for row in run(statement, values)}


def _lock_client(client_id: UUID) -> None:
    """Lock the client against changes and against another call that adds markets to it."""
    query = select(Client.status).where(Client.id == client_id)
    status = db.session.scalar(query.with_for_update(key_share=True))
    if not status:
        raise NotFound("There is no such client.")
    if status is Status.OFFBOARDED:
        raise InvalidTransition(OFFBOARDED)


def _check_listings(items: Sequence[NewClientMarket]) -> tuple[Fields, dict[int, Listing]]:
    """Return the errors of items by themselves, and place → the market that another one needs.

    An item without an exchange symbol needs none if its market exists, so that is no error here.
    """
    slugs = {item.exchange for item in items}
    rows = db.session.scalars(select(Exchange).where(Exchange.slug.in_(slugs)))
    exchanges = {row.slug: row for row in rows}
    errors: Fields = {}
    listings: dict[int, Listing] = {}
    first_places: dict[tuple[Symbol, str], int] = {}
    for place, item in enumerate(items):
        symbol, slug = item.symbol, item.exchange
        exchange = exchanges.get(slug)
        if not exchange or not exchange.is_enabled:
            sentence = f"{exchange.name} is disabled." if exchange else NOT_FOUND
            errors[f"markets.{place}.exchange"] = [sentence]
        elif (first := first_places.setdefault((symbol, slug), place)) != place:
            sentence = TWICE.format(symbol.text, exchange.name, first + 1)
            errors[f"markets.{place}.symbol"] = [sentence]
        elif text := item.exchange_symbol or format_exchange_symbol(symbol, exchange.symbol_style):
            listings[place] = Listing(symbol, slug, text)
    lookalikes = find_lookalikes(list(listings.values()))
    for place, listing in tuple(listings.items()):
        if other := lookalikes.get(listing):
            sentence = LOOKALIKE.format(
                listing.symbol.text, other, exchanges[listing.exchange].name
            )
            errors[f"markets.{place}.symbol"] = [sentence]
            del listings[place]
    return errors, listings


def _check_markets(
    items: Sequence[NewClientMarket],
    listings: Mapping[int, Listing],
    markets: Mapping[int, Row[*tuple[Any, ...]]],
    errors: Fields,
) -> dict[str, str]:
    """Add the errors of the items' markets to `errors`; return field → existing client market.

    A market that does not exist is no error if it can be created.
    """
    existing: dict[str, str] = {}
    for place, item in enumerate(items):
        name = f"{item.symbol.text} on {registry.name_of(item.exchange)}"
        field = f"markets.{place}.symbol"
        market = markets.get(place)
        if errors.keys() & {field, f"markets.{place}.exchange"}:
            continue
        if not market:
            if place not in listings:
                errors[f"markets.{place}.exchange_symbol"] = [f"{name}: {NO_SYMBOL_RULE}"]
        elif market.client_market_id:
            errors[field] = [f"{name} is already quoted."]
            existing[field] = str(market.client_market_id)
        elif market.status is MarketStatus.DELISTED:
            errors[field] = [f"{name} is delisted."]
    return existing


def _list_added(client_id: UUID, market_ids: Sequence[UUID]) -> list[Row[*tuple[Any, ...]]]:
    """Return the client's markets in the order of `market_ids`."""
    query = SELECT_ROWS.where(ClientMarket.client_id == client_id)
    rows = db.session.execute(query.where(ClientMarket.market_id.in_(market_ids)))
    by_market = {row.market_id: row for row in rows}
    return [by_market[market_id] for market_id in market_ids]
