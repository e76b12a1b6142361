"""Have a client quoted in many markets at once: all of them, or none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import Integer, Numeric, Row, Table, Text, Uuid, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import db, run
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.exchanges.service import NONE
from pipelabs.markets.client_markets import OFFBOARDED, QUOTED
from pipelabs.markets.markets import UNTOLD, Wanted, ensure_markets
from pipelabs.markets.symbols import exchange_symbol
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
    now,
)

Item = Mapping[str, Any]
"""What `ClientMarketItem` loads."""
Fields = dict[str, list[str]]
MAX_LISTED = 8
TABLE = cast(Table, ClientMarket.__table__)
OWN = ("bot", "spread_target_bps", "daily_volume_target")
SENT = unnest_table("wanted", {"place": Integer(), **dict.fromkeys((*ASSETS, "exchange"), Text())})
FOUND = (
    select(SENT.c.place, Market.id, Market.status, ClientMarket.id.label("held_id"))
    .select_from(SENT)
    .join(
        TokenPair,
        (TokenPair.base_asset == SENT.c.base_asset)
        & (TokenPair.quote_asset == SENT.c.quote_asset)
        & TokenPair.settle_asset.is_not_distinct_from(SENT.c.settle_asset),
    )
    .join(Market, (Market.token_pair_id == TokenPair.id) & (Market.exchange == SENT.c.exchange))
    .outerjoin(
        ClientMarket,
        (ClientMarket.market_id == Market.id)
        & (ClientMarket.client_id == bindparam("client_id", type_=Uuid())),
    )
    # Whoever delists one of them waits, so that none is delisted and quoted.
    .with_for_update(read=True, of=Market)
)
NEW = unnest_table(
    "made",
    {
        "id": Uuid(),
        "market_id": Uuid(),
        "bot": Text(),
        "spread_target_bps": Numeric(38, 18),
        "daily_volume_target": Numeric(38, 18),
    },
)
SAME = ("client_id", "status", "version", "created_at", "updated_at")
INSERT = insert(TABLE).from_select(
    ["id", "market_id", *OWN, *SAME],
    select(*NEW.c, *(bindparam(name, type_=TABLE.c[name].type) for name in SAME)),
    include_defaults=False,
)
"""Built once: building costs more than sending."""


@dataclass(frozen=True, slots=True)
class Places:
    """What was found out about a list of items, by their place in it.

    `wrong` and `held` are by field: what is wrong with it, and whose client market is there.
    """

    found: dict[int, Row[*tuple[Any, ...]]]
    wrong: Fields
    held: dict[str, str]

    def is_free(self, place: int) -> bool:
        """Return whether the item can be added."""
        return place in self.found and f"markets.{place}.symbol" not in self.wrong

    def reason(self, place: int) -> str:
        """Return why the item cannot be added, if it is not there already."""
        fields = [f"markets.{place}.{name}" for name in ("symbol", "exchange", "exchange_symbol")]
        told = (self.wrong[one][0] for one in fields if one in self.wrong.keys() - self.held.keys())
        return next(told, "")


def add_client_markets(
    client_id: UUID, items: Sequence[Item], actor: Actor
) -> list[Row[*tuple[Any, ...]]]:
    """Have the client quoted in all of these markets, and record who did it; or in none.

    Pairs and markets that are not there are made on the way. Raise `NotFound`, `InvalidTransition`
    for an offboarded client, `Duplicate` if the client is quoted in some already, and
    `InvalidInput` for anything else; each names every wrong item at once, as `markets.3.symbol`.
    """
    _lock_client(client_id)
    places = find_places(client_id, items, actor)
    if wrong := places.wrong:
        if places.held.keys() == wrong.keys():
            raise Duplicate("Already quoted there", fields=wrong, existing=places.held)
        raise InvalidInput(f"Invalid input: {', '.join(list(wrong)[:10])}", fields=wrong)
    market_ids = [places.found[place].id for place in range(len(items))]
    insert_client_markets(client_id, items, market_ids)
    trail.record(Event.CLIENT_MARKET_ADDED, actor, client_id=client_id, facts=facts_of(items))
    return _added(client_id, market_ids)


def find_places(client_id: UUID, items: Sequence[Item], actor: Actor) -> Places:
    """Make the markets that are not there, and return each item's; none is delisted meanwhile."""
    wrong, wanted = _wanted(items)
    _record_made(ensure_markets(wanted.values()), actor)
    rows = (
        (n, s.base_asset, s.quote_asset, s.settle_asset, exchange)
        for n, (s, exchange) in enumerate((one["symbol"], one["exchange"]) for one in items)
    )
    values = column_arrays(("place", *ASSETS, "exchange"), rows) | {"client_id": client_id}
    found = {row.place: row for row in run(FOUND, values)}
    return Places(found, wrong, _reject_found(items, found, wrong))


def insert_client_markets(
    client_id: UUID, items: Sequence[Item], market_ids: Sequence[UUID]
) -> None:
    """Insert what was found to be free, an item for each market."""
    moment = now()
    rows = (
        (uuid4(), market_id, *(one[name] for name in OWN))
        for one, market_id in zip(items, market_ids, strict=True)
    )
    same = {"client_id": client_id, "status": QuotingStatus.ACTIVE, "version": 1}
    values = column_arrays(("id", "market_id", *OWN), rows) | same
    run(INSERT, values | {"created_at": moment, "updated_at": moment})


def facts_of(items: Sequence[Item]) -> dict[str, str]:
    """Return what the audit trail tells of them: how many, where, and the first few."""
    first = ", ".join(f"{one['symbol'].text} on {one['exchange']}" for one in items[:MAX_LISTED])
    more = f" and {len(items) - MAX_LISTED} more" if len(items) > MAX_LISTED else ""
    exchanges = Counter(one["exchange"] for one in items)
    told = ", ".join(f"{slug}: {count}" for slug, count in sorted(exchanges.items()))
    every = ", ".join(f"{one['symbol'].text} on {one['exchange']}" for one in items)
    facts = {"count": str(len(items)), "markets": first + more, "exchanges": told}
    return facts | ({"listed": every} if more else {})


def _record_made(made: Sequence[Row[UUID, str, str]], actor: Actor) -> None:
    """Record the markets that were made on the way, in one event."""
    if made:
        told = ", ".join(sorted(f"{row.exchange_symbol} on {row.exchange}" for row in made))
        facts = {"count": str(len(made)), "listed": told}
        trail.record(Event.MARKET_CREATED, actor, facts=facts)


def _lock_client(client_id: UUID) -> None:
    """Make others wait who change the client or add markets to it."""
    wanted = select(Client.status).where(Client.id == client_id)
    status = db.session.scalar(wanted.with_for_update(key_share=True))
    if not status:
        raise NotFound("There is no such client.")
    if status is Status.OFFBOARDED:
        raise InvalidTransition(OFFBOARDED)


def _wanted(items: Sequence[Item]) -> tuple[Fields, dict[int, Wanted]]:
    """Return what is wrong with items by themselves, and the markets that the others ask for.

    What is not spelled is left out: if it is there already, nobody has to spell it.
    """
    slugs = {one["exchange"] for one in items}
    rows = db.session.scalars(select(Exchange).where(Exchange.slug.in_(slugs)))
    exchanges = {row.slug: row for row in rows}
    wrong: Fields = {}
    wanted: dict[int, Wanted] = {}
    first: dict[tuple[Any, str], int] = {}
    for place, one in enumerate(items):
        symbol, slug = one["symbol"], one["exchange"]
        exchange = exchanges.get(slug)
        if not exchange or not exchange.is_enabled:
            sentence = f"{exchange.name} is disabled here." if exchange else NONE
            wrong[f"markets.{place}.exchange"] = [sentence]
        elif (twin := first.setdefault((symbol, slug), place)) != place:
            sentence = (
                f"{symbol.text} on {slug} stands in the list twice, first as item {twin + 1}."
            )
            wrong[f"markets.{place}.symbol"] = [sentence]
        elif text := one["exchange_symbol"] or exchange_symbol(symbol, exchange.symbol_style):
            wanted[place] = Wanted(symbol, slug, text)
    return wrong, wanted


def _reject_found(
    items: Sequence[Item], found: Mapping[int, Row[*tuple[Any, ...]]], wrong: Fields
) -> dict[str, str]:
    """Add what is wrong with the markets to `wrong`; return field → id of what is there already."""
    held: dict[str, str] = {}
    for place, one in enumerate(items):
        where = f"{one['symbol'].text} on {one['exchange']}"
        field = f"markets.{place}.symbol"
        row = found.get(place)
        if wrong.keys() & {field, f"markets.{place}.exchange"}:
            continue
        if not row:
            wrong[f"markets.{place}.exchange_symbol"] = [f"{where}: {UNTOLD}"]
        elif row.held_id:
            wrong[field] = [f"{where} is quoted already."]
            held[field] = str(row.held_id)
        elif row.status is MarketStatus.DELISTED:
            wrong[field] = [f"{where} is delisted."]
    return held


def _added(client_id: UUID, market_ids: Sequence[UUID]) -> list[Row[*tuple[Any, ...]]]:
    """Return what was added, in the order in which it was sent."""
    wanted = QUOTED.where(ClientMarket.client_id == client_id)
    rows = db.session.execute(wanted.where(ClientMarket.market_id.in_(market_ids)))
    by_market = {row.market_id: row for row in rows}
    return [by_market[one] for one in market_ids]
