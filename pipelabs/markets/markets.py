"""Create, list and change markets. A market is a token pair as one exchange lists it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Row, Table, Text, Uuid, bindparam, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import contains_eager

from pipelabs.audit import subjects, trail
from pipelabs.audit.changes import change_facts
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind, Place
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.commands import differing, set_fields
from pipelabs.core.db import db, run
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.core.pagination import Page, page_of
from pipelabs.exchanges.service import get_enabled
from pipelabs.markets.delisting import (
    NO_CLIENTS,
    AffectedClients,
    count_affected_clients,
    delist_client_markets,
)
from pipelabs.markets.lookalikes import skeleton
from pipelabs.markets.schemas.markets import MarketChanges, NewMarket
from pipelabs.markets.symbols import format_exchange_symbol, normalise_symbol
from pipelabs.markets.token_pairs import (
    ASSETS,
    SYMBOL_COLUMN,
    ensure_token_pairs,
    symbol_conditions,
)
from pipelabs.models import (
    Exchange,
    Market,
    MarketStatus,
    TokenPair,
    new_id,
    now,
)
from pipelabs.models.token_pairs import Symbol

TAKEN = "This market already exists."
NO_SYMBOL_RULE = "The exchange symbol of this pair does not follow a rule. Enter it."
LOOKALIKE = "{} looks like {}, which is listed on {}."
BEYOND_ASCII = r"[^\u0001-\u007F]"
UNFINISHED = "Some clients have not been delisted yet. Set the status to delisted again first."
TABLE = cast(Table, Market.__table__)
TRANSITIONS = {
    MarketStatus.TRADING: {MarketStatus.HALTED, MarketStatus.DELISTED},
    MarketStatus.HALTED: {MarketStatus.TRADING, MarketStatus.DELISTED},
    MarketStatus.DELISTED: {MarketStatus.TRADING},
}
"""Status → the statuses that can follow it. A delisted market can be listed again."""
LISTING_FIELDS = ("symbol", "exchange", "exchange_symbol")
LISTING_COLUMNS = (*ASSETS, "exchange", "exchange_symbol")
NEW_MARKETS = unnest_table("new_markets", {"id": Uuid(), **dict.fromkeys(LISTING_COLUMNS, Text())})
IS_PAIR = (
    (TokenPair.base_asset == NEW_MARKETS.c.base_asset)
    & (TokenPair.quote_asset == NEW_MARKETS.c.quote_asset)
    & TokenPair.settle_asset.is_not_distinct_from(NEW_MARKETS.c.settle_asset)
)
CREATED_AT = bindparam("created_at", type_=TABLE.c.created_at.type)
INSERT_MARKETS = (
    insert(TABLE)
    .from_select(
        [
            *("id", "token_pair_id", "exchange", "exchange_symbol"),
            *("status", "version", "created_at", "updated_at"),
        ],
        select(
            *(NEW_MARKETS.c.id, TokenPair.id),
            *(NEW_MARKETS.c.exchange, NEW_MARKETS.c.exchange_symbol),
            *(literal(MarketStatus.TRADING.value), 1, CREATED_AT, CREATED_AT),
        )
        .select_from(NEW_MARKETS.join(TokenPair, IS_PAIR))
        # A consistent order prevents deadlocks between concurrent inserts of the same markets.
        .order_by(TokenPair.id, NEW_MARKETS.c.exchange),
        include_defaults=False,
    )
    .on_conflict_do_nothing()
    .returning(TABLE.c.id, TABLE.c.exchange, TABLE.c.exchange_symbol)
)
"""Built once, because building takes longer than sending."""


class UpdatedMarket(NamedTuple):
    """A market after an update, and the clients whose quoting it ended."""

    market: Market
    affected: AffectedClients


class Listing(NamedTuple):
    """A token pair on an exchange, and its symbol there."""

    symbol: Symbol
    exchange: str
    exchange_symbol: str


def ensure_markets(listings: Iterable[Listing]) -> Sequence[Row[UUID, str, str]]:
    """Create the markets that do not exist, and their token pairs.

    Return id, exchange and exchange symbol of the new ones.
    """
    listings = list(listings)
    ensure_token_pairs({listing.symbol for listing in listings})
    rows = (
        (new_id(), s.base_asset, s.quote_asset, s.settle_asset, exchange, exchange_symbol)
        for s, exchange, exchange_symbol in listings
    )
    values = column_arrays(("id", *LISTING_COLUMNS), rows)
    return run(INSERT_MARKETS, values | {"created_at": now()}).all()


def find_lookalikes(listings: Sequence[Listing]) -> dict[Listing, str]:
    """Return listing → symbol that looks alike and that the exchange has, or an earlier listing.

    Assets of Latin letters and digits look like no other. The exchanges of the others stay locked
    until the transaction ends, so that no concurrent call lists a lookalike there.
    """
    others = [listing for listing in listings if not listing.symbol.text.isascii()]
    if not others:
        return {}
    slugs = {listing.exchange for listing in others}
    locked = select(Exchange.slug).where(Exchange.slug.in_(slugs)).order_by(Exchange.slug)
    db.session.execute(locked.with_for_update(key_share=True))
    query = select(Market.exchange, SYMBOL_COLUMN.label("symbol")).join(Market.token_pair)
    query = query.where(Market.exchange.in_(slugs), SYMBOL_COLUMN.regexp_match(BEYOND_ASCII))
    listed = {(row.exchange, skeleton(row.symbol)): row.symbol for row in db.session.execute(query)}
    found: dict[Listing, str] = {}
    for listing in others:
        text = listing.symbol.text
        first = listed.setdefault((listing.exchange, skeleton(text)), text)
        if first != text:
            found[listing] = first
    return found


def create_market(new: NewMarket, actor: Actor) -> Market:
    """Create a market, and its token pair if that does not exist, and record it.

    Raise `InvalidInput` if the exchange symbol is needed but missing, and `Duplicate` naming the
    existing market.
    """
    exchange, symbol = get_enabled(new.exchange), new.symbol
    exchange_symbol = new.exchange_symbol or format_exchange_symbol(symbol, exchange.symbol_style)
    if not exchange_symbol:
        fields = {"exchange_symbol": [NO_SYMBOL_RULE]}
        raise InvalidInput("Invalid input: exchange_symbol", fields=fields)
    listing = Listing(symbol, exchange.slug, exchange_symbol)
    if other := find_lookalikes([listing]).get(listing):
        sentence = LOOKALIKE.format(symbol.text, other, exchange.name)
        raise InvalidInput("Invalid input: symbol", fields={"symbol": [sentence]})
    created = ensure_markets([listing])
    market = _get_listed_market(symbol, exchange.slug)
    if not created:
        raise Duplicate(TAKEN, fields={"symbol": [TAKEN]}, existing={"symbol": str(market.id)})
    for name, value in set_fields(new).items():
        if name not in LISTING_FIELDS:
            setattr(market, name, value)
    facts = {"symbol": symbol.text, "exchange": exchange.slug, "exchange_symbol": exchange_symbol}
    trail.record(Event.MARKET_CREATED, actor, facts=facts | {"market": str(market.id)})
    return market


def get_market(market_id: UUID) -> Market:
    """Return the market, or raise `NotFound`."""
    if market := db.session.get(Market, market_id):
        return market
    raise NotFound("There is no such market.")


def list_markets(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[Market]:
    """Return one page of the markets that match every filter, by symbol and exchange.

    `filters` is what `MarketsQuery` loads: `q`, part of the symbol or the exchange symbol in any
    case, `exchange` and `status`.
    """
    query = select(Market).join(Market.token_pair).options(contains_eager(Market.token_pair))
    if q := filters.get("q"):
        has_symbol = SYMBOL_COLUMN.icontains(normalise_symbol(q), autoescape=True)
        has_exchange_symbol = Market.exchange_symbol.icontains(q, autoescape=True)
        query = query.where(or_(has_symbol, has_exchange_symbol))
    for name in ("exchange", "status"):
        if value := filters.get(name):
            query = query.where(getattr(Market, name) == value)
    return page_of(query.order_by(SYMBOL_COLUMN, Market.exchange, Market.id), size, cursor)


def find_markets(ids: Collection[UUID]) -> Sequence[Market]:
    """Return the markets that have these ids, by symbol and exchange."""
    query = select(Market).join(Market.token_pair).options(contains_eager(Market.token_pair))
    query = query.where(Market.id.in_(ids))
    return db.session.scalars(query.order_by(SYMBOL_COLUMN, Market.exchange)).all()


def lock_markets(ids: Collection[UUID]) -> None:
    """Lock these markets, by id."""
    query = select(Market.id).where(Market.id.in_(ids)).order_by(Market.id)
    db.session.execute(query.with_for_update())


def list_exchanges_in_use() -> list[str]:
    """Return the slugs of the exchanges that have a market, whether enabled or not."""
    return list(db.session.scalars(select(Market.exchange).distinct().order_by(Market.exchange)))


def update_market(
    market_id: UUID, changes: MarketChanges, actor: Actor, *, version: int | None = None
) -> UpdatedMarket:
    """Change a market and record the old and new values; record nothing if nothing changes.

    Delisting also delists every client's market there, with a commit after each batch, and goes on
    with a delisting that was interrupted. Raise `Stale` if `version` is not the stored one, and
    `InvalidTransition` if the status can't follow the stored one.
    """
    stored = _lock_market(market_id, version)
    changed = differing(stored, set_fields(changes))
    if changed:
        _change_market(stored, changed, actor)
    if changes.status is not MarketStatus.DELISTED:
        return UpdatedMarket(stored, NO_CLIENTS)
    return UpdatedMarket(stored, delist_client_markets(stored, actor))


@subjects.register(Kind.MARKET)
def _find_place(market_id: UUID) -> Place | None:
    exchange = db.session.scalar(select(Market.exchange).where(Market.id == market_id))
    return Place(exchange=exchange) if exchange else None


def _change_market(stored: Market, changed: Mapping[str, Any], actor: Actor) -> None:
    """Change the locked market and record the old and new values."""
    facts = {"symbol": stored.symbol, "exchange": stored.exchange, "market": str(stored.id)}
    facts |= change_facts(stored, changed)
    if status := changed.get("status"):
        reject_transition(stored, status)
    for name, value in changed.items():
        setattr(stored, name, value)
    stored.version, stored.updated_at = stored.version + 1, now()
    trail.record(Event.MARKET_UPDATED, actor, facts=facts)


def _lock_market(market_id: UUID, version: int | None) -> Market:
    """Return the market, locked and read again. Adding a client to it waits for the lock."""
    query = select(Market).where(Market.id == market_id).with_for_update(of=Market)
    stored = db.session.scalar(query, execution_options={"populate_existing": True})
    if not stored:
        raise NotFound("There is no such market.")
    reject_stale("The market", stored.version, version)
    return stored


def reject_transition(market: Market, after: MarketStatus) -> None:
    """Raise `InvalidTransition` if the status can't follow the market's."""
    before, sentence = market.status, ""
    if after not in TRANSITIONS[before]:
        sentence = f"A market that is {before} cannot become {after}."
    elif before is MarketStatus.DELISTED and count_affected_clients(market.id):
        sentence = UNFINISHED
    if sentence:
        facts = {"from": before.value, "to": after.value}
        raise InvalidTransition(sentence, fields={"status": [sentence]}, facts=facts)


def _get_listed_market(symbol: Symbol, exchange: str) -> Market:
    """Return the market of this pair on this exchange, which must exist."""
    query = select(Market).join(Market.token_pair).options(contains_eager(Market.token_pair))
    query = query.where(Market.exchange == exchange, *symbol_conditions(symbol))
    return db.session.scalars(query).one()
