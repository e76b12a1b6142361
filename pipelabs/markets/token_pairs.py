"""Create and list token pairs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Table, Text, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import db, run
from pipelabs.core.errors import Duplicate, NotFound
from pipelabs.core.pagination import Page, page_of
from pipelabs.markets.symbols import normalise_symbol
from pipelabs.models import Market, TokenPair, new_id, now
from pipelabs.models.token_pairs import Symbol, TokenPairSort

TAKEN = "This token pair already exists."
TABLE = cast(Table, TokenPair.__table__)
ASSETS = ("base_asset", "quote_asset", "settle_asset")
SYMBOL_COLUMN = (
    TokenPair.base_asset
    + "/"
    + TokenPair.quote_asset
    + func.coalesce(":" + TokenPair.settle_asset, "")
)
"""The symbol as text, computed by PostgreSQL."""
SORT_COLUMNS: Mapping[str, Any] = {"symbol": SYMBOL_COLUMN, "created_at": TokenPair.created_at}
NEW_PAIRS = unnest_table("new_pairs", {"id": Uuid(), **dict.fromkeys(ASSETS, Text())})
INSERT_PAIRS = (
    insert(TABLE)
    .from_select(
        ["id", *ASSETS, "created_at"],
        select(
            NEW_PAIRS.c.id,
            *(NEW_PAIRS.c[name] for name in ASSETS),
            bindparam("created_at", type_=TABLE.c.created_at.type),
        ),
    )
    .on_conflict_do_nothing()
    .returning(TABLE.c.id)
)
"""Built once, because building takes longer than sending."""


def ensure_token_pairs(symbols: Collection[Symbol]) -> list[UUID]:
    """Create the token pairs that do not exist, and return the new ids.

    They are inserted in a consistent order, so that concurrent calls cannot deadlock.
    """
    ordered = sorted(symbols, key=lambda symbol: symbol.text)
    rows = ((new_id(), s.base_asset, s.quote_asset, s.settle_asset) for s in ordered)
    values = column_arrays(("id", *ASSETS), rows)
    return list(run(INSERT_PAIRS, values | {"created_at": now()}).scalars())


def create_token_pair(symbol: Symbol, actor: Actor) -> TokenPair:
    """Create a token pair and record it; raise `Duplicate` naming the existing one."""
    if not ensure_token_pairs([symbol]):
        existing = {"symbol": str(find_token_pair(symbol).id)}
        raise Duplicate(TAKEN, fields={"symbol": [TAKEN]}, existing=existing)
    pair = find_token_pair(symbol)
    facts = {"symbol": symbol.text, "token_pair": str(pair.id)}
    trail.record(Event.TOKEN_PAIR_CREATED, actor, facts=facts)
    return pair


def find_token_pair(symbol: Symbol) -> TokenPair:
    """Return the token pair with this symbol, which must exist."""
    return db.session.scalars(select(TokenPair).where(*symbol_conditions(symbol))).one()


def symbol_conditions(symbol: Symbol) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions for the token pair with this symbol."""
    yield TokenPair.base_asset == symbol.base_asset
    yield TokenPair.quote_asset == symbol.quote_asset
    yield TokenPair.settle_asset.is_not_distinct_from(symbol.settle_asset)


def get_token_pair(token_pair_id: UUID) -> TokenPair:
    """Return the token pair, or raise `NotFound`."""
    if token_pair := db.session.get(TokenPair, token_pair_id):
        return token_pair
    raise NotFound("There is no such token pair.")


def list_token_pairs(
    filters: Mapping[str, Any],
    sort: TokenPairSort = TokenPairSort.SYMBOL,
    size: int = 50,
    cursor: str | None = None,
) -> Page[TokenPair]:
    """Return one page of the token pairs whose symbol contains `q`, in any spelling."""
    query = select(TokenPair)
    if q := filters.get("q"):
        query = query.where(SYMBOL_COLUMN.icontains(normalise_symbol(q), autoescape=True))
    columns = (SORT_COLUMNS[sort.removeprefix("-")], TokenPair.id)
    order = [column.desc() if sort.startswith("-") else column.asc() for column in columns]
    return page_of(query.order_by(*order), size, cursor)


def list_pair_markets(token_pair_id: UUID) -> Sequence[Market]:
    """Return the markets of the token pair, by exchange."""
    query = select(Market).where(Market.token_pair_id == token_pair_id)
    return db.session.scalars(query.order_by(Market.exchange)).all()
