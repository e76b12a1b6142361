"""The rules of markets: a pair as one exchange lists it."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

from sqlalchemy import Row, Table, Text, Uuid, bindparam, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import contains_eager

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import db, run
from pipelabs.core.decimals import plain
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.core.pagination import Page, page_of
from pipelabs.exchanges.service import get_enabled
from pipelabs.markets.symbols import exchange_symbol
from pipelabs.markets.token_pairs import ASSETS, TEXT, ensure_token_pairs, is_of, spelled
from pipelabs.models import (
    Client,
    ClientMarket,
    Market,
    MarketStatus,
    QuotingStatus,
    TokenPair,
    now,
)
from pipelabs.models.token_pairs import Symbol

TAKEN = "This market already exists."
UNTOLD = "No rule tells how this exchange writes the pair; give its own spelling."
TABLE = cast(Table, Market.__table__)
MOVES = {
    MarketStatus.TRADING: {MarketStatus.HALTED, MarketStatus.DELISTED},
    MarketStatus.HALTED: {MarketStatus.TRADING, MarketStatus.DELISTED},
    MarketStatus.DELISTED: {MarketStatus.TRADING},
}
"""From where a market may go where; what was delisted can be listed again."""
SPELLED = (*ASSETS, "exchange", "exchange_symbol")
NEW = unnest_table("wanted", {"id": Uuid(), **dict.fromkeys(SPELLED, Text())})
PAIR = (
    (TokenPair.base_asset == NEW.c.base_asset)
    & (TokenPair.quote_asset == NEW.c.quote_asset)
    & TokenPair.settle_asset.is_not_distinct_from(NEW.c.settle_asset)
)
MOMENT = bindparam("moment", type_=TABLE.c.created_at.type)
INSERT = (
    insert(TABLE)
    .from_select(
        [
            *("id", "token_pair_id", "exchange", "exchange_symbol"),
            *("status", "version", "created_at", "updated_at"),
        ],
        select(
            *(NEW.c.id, TokenPair.id, NEW.c.exchange, NEW.c.exchange_symbol),
            *(literal(MarketStatus.TRADING.value), 1, MOMENT, MOMENT),
        )
        .select_from(NEW.join(TokenPair, PAIR))
        # In one order for all, so that of two who create the same one waits for the other.
        .order_by(TokenPair.id, NEW.c.exchange),
        include_defaults=False,
    )
    .on_conflict_do_nothing()
    .returning(TABLE.c.id, TABLE.c.exchange, TABLE.c.exchange_symbol)
)
"""Built once: building costs more than sending."""


class Changed(NamedTuple):
    """A market as it is now, and id and name of whom its delisting has touched."""

    market: Market
    affected: Sequence[Row[UUID, str]]


class Wanted(NamedTuple):
    """A market that shall be there, and how the exchange writes it."""

    symbol: Symbol
    exchange: str
    exchange_symbol: str


def ensure_markets(markets: Iterable[Wanted]) -> Sequence[Row[UUID, str, str]]:
    """Create those that are not there, pairs included; return the new ones' ids and spellings."""
    wanted = list(markets)
    ensure_token_pairs({one.symbol for one in wanted})
    rows = (
        (uuid4(), s.base_asset, s.quote_asset, s.settle_asset, exchange, text)
        for s, exchange, text in wanted
    )
    return run(INSERT, column_arrays(("id", *SPELLED), rows) | {"moment": now()}).all()


def create_market(data: Mapping[str, Any], actor: Actor) -> Market:
    """Add a market, and its pair if that is new, and record who did it.

    `data` is what `MarketIn` loads. Raise `InvalidInput` where the exchange's own spelling has to
    be told, and `Duplicate` naming the market that is there.
    """
    exchange, symbol = get_enabled(data["exchange"]), data["symbol"]
    text = data["exchange_symbol"] or exchange_symbol(symbol, exchange.symbol_style)
    if not text:
        raise InvalidInput("Invalid input: exchange_symbol", fields={"exchange_symbol": [UNTOLD]})
    made = ensure_markets([Wanted(symbol, exchange.slug, text)])
    market = _find(symbol, exchange.slug)
    if not made:
        raise Duplicate(TAKEN, fields={"symbol": [TAKEN]}, existing={"symbol": str(market.id)})
    for name in ("price_tick", "amount_step", "min_notional"):
        setattr(market, name, data[name])
    facts = {"symbol": symbol.text, "exchange": exchange.slug, "exchange_symbol": text}
    trail.record(Event.MARKET_CREATED, actor, facts=facts | {"market": str(market.id)})
    return market


def get_market(market_id: UUID) -> Market:
    """Return the market, or raise `NotFound`."""
    if found := db.session.get(Market, market_id):
        return found
    raise NotFound("There is no such market.")


def list_markets(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[Market]:
    """Return one page of the markets that fit every filter, by symbol and exchange.

    `filters` is what `MarketsQuery` loads: `q`, a part of either spelling in any case, `exchange`
    and `status`.
    """
    wanted = select(Market).join(Market.token_pair).options(contains_eager(Market.token_pair))
    if q := filters.get("q"):
        own = Market.exchange_symbol.icontains(q, autoescape=True)
        wanted = wanted.where(or_(TEXT.icontains(spelled(q), autoescape=True), own))
    for name in ("exchange", "status"):
        if value := filters.get(name):
            wanted = wanted.where(getattr(Market, name) == value)
    return page_of(wanted.order_by(TEXT, Market.exchange, Market.id), size, cursor)


def exchanges_in_use() -> list[str]:
    """Return the slugs of the exchanges that have a market, enabled or not."""
    return list(db.session.scalars(select(Market.exchange).distinct().order_by(Market.exchange)))


def update_market(
    market_id: UUID, data: Mapping[str, Any], actor: Actor, *, version: int | None = None
) -> Changed:
    """Change the fields in `data` and record what each was and is; nothing new leaves no trace.

    `data` is what `MarketPatch` loads. A delisting marks every client's market there, in the same
    transaction. Raise `Stale` if `version` is not the stored one, and `InvalidTransition` if its
    status may not become that.
    """
    stored = _locked(market_id, version)
    changed = {name: value for name, value in data.items() if getattr(stored, name) != value}
    if not changed:
        return Changed(stored, [])
    facts = {"symbol": stored.symbol, "exchange": stored.exchange, "changed": ",".join(changed)}
    for name, value in changed.items():
        facts |= {f"from_{name}": told(getattr(stored, name)), f"to_{name}": told(value)}
    if status := changed.get("status"):
        _reject_move(stored.status, status)
    for name, value in changed.items():
        setattr(stored, name, value)
    stored.version, stored.updated_at = stored.version + 1, now()
    trail.record(Event.MARKET_UPDATED, actor, facts=facts | {"market": str(market_id)})
    is_over = status is MarketStatus.DELISTED
    return Changed(stored, _delist(stored, actor) if is_over else [])


def affected_by(market_id: UUID) -> Sequence[Row[UUID, str]]:
    """Return id and name of the clients whose quoting a delisting would end, by name."""
    wanted = select(Client.id, Client.name).join(ClientMarket)
    wanted = wanted.where(
        ClientMarket.market_id == market_id, ClientMarket.status != QuotingStatus.DELISTED
    )
    return db.session.execute(wanted.order_by(func.lower(Client.name), Client.id)).all()


def told(value: object) -> str:
    """Return the value of a field as the audit trail tells it."""
    return plain(value) if isinstance(value, Decimal) else str(value or "")


def _locked(market_id: UUID, version: int | None) -> Market:
    """Return the market, read anew and locked; whoever adds a client to it waits meanwhile."""
    wanted = select(Market).where(Market.id == market_id).with_for_update(of=Market)
    options = {"populate_existing": True}
    stored = db.session.scalar(wanted, execution_options=options)
    if not stored:
        raise NotFound("There is no such market.")
    reject_stale("The market", stored.version, version)
    return stored


def _reject_move(here: MarketStatus, there: MarketStatus) -> None:
    if there not in MOVES[here]:
        sentence = f"A market that is {here} cannot become {there}."
        facts = {"from": here.value, "to": there.value}
        raise InvalidTransition(sentence, fields={"status": [sentence]}, facts=facts)


def _delist(market: Market, actor: Actor) -> Sequence[Row[UUID, str]]:
    """Mark every client's market there, and record it for each client."""
    affected = affected_by(market.id)
    there = ClientMarket.market_id == market.id
    changes = {"status": QuotingStatus.DELISTED, "updated_at": now()}
    statement = update(ClientMarket).where(there, ClientMarket.status != QuotingStatus.DELISTED)
    changes["version"] = ClientMarket.version + 1
    db.session.execute(statement.values(changes), execution_options={"synchronize_session": False})
    facts = {"markets": f"{market.symbol} on {market.exchange}", "market": str(market.id)}
    for one in affected:
        trail.record(Event.CLIENT_MARKET_DELISTED, actor, client_id=one.id, facts=facts)
    return affected


def _find(symbol: Symbol, exchange: str) -> Market:
    """Return the market that is known to be there."""
    wanted = select(Market).join(Market.token_pair).options(contains_eager(Market.token_pair))
    wanted = wanted.where(Market.exchange == exchange, *is_of(symbol))
    return db.session.scalars(wanted).one()
