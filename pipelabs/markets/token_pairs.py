"""The rules of token pairs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Table, Text, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import db, run
from pipelabs.core.errors import Duplicate, NotFound
from pipelabs.core.pagination import Page, page_of
from pipelabs.markets.symbols import SymbolError, parse
from pipelabs.models import Market, TokenPair, now
from pipelabs.models.token_pairs import Symbol, TokenPairSort

TAKEN = "This token pair already exists."
TABLE = cast(Table, TokenPair.__table__)
ASSETS = ("base_asset", "quote_asset", "settle_asset")
TEXT = (
    TokenPair.base_asset
    + "/"
    + TokenPair.quote_asset
    + func.coalesce(":" + TokenPair.settle_asset, "")
)
"""The symbol, as PostgreSQL spells it."""
ORDERS: Mapping[str, Any] = {"symbol": TEXT, "created_at": TokenPair.created_at}
NEW = unnest_table("wanted", {"id": Uuid(), **dict.fromkeys(ASSETS, Text())})
INSERT = (
    insert(TABLE)
    .from_select(
        ["id", *ASSETS, "created_at"],
        select(
            NEW.c.id,
            *(NEW.c[one] for one in ASSETS),
            bindparam("created_at", type_=TABLE.c.created_at.type),
        ),
    )
    .on_conflict_do_nothing()
    .returning(TABLE.c.id)
)
"""Built once: building costs more than sending."""


def ensure_token_pairs(symbols: Collection[Symbol]) -> list[UUID]:
    """Create those that are not there, and return the ids of the new ones.

    In one order for all, so that of two who create the same at once one waits for the other.
    """
    ordered = sorted(symbols, key=lambda one: one.text)
    rows = ((uuid4(), one.base_asset, one.quote_asset, one.settle_asset) for one in ordered)
    values = column_arrays(("id", *ASSETS), rows)
    return list(run(INSERT, values | {"created_at": now()}).scalars())


def create_token_pair(symbol: Symbol, actor: Actor) -> TokenPair:
    """Add a token pair and record who did it; raise `Duplicate` naming the one that is there."""
    if not ensure_token_pairs([symbol]):
        existing = {"symbol": str(find_token_pair(symbol).id)}
        raise Duplicate(TAKEN, fields={"symbol": [TAKEN]}, existing=existing)
    trail.record(Event.TOKEN_PAIR_CREATED, actor, facts={"symbol": symbol.text})
    return find_token_pair(symbol)


def find_token_pair(symbol: Symbol) -> TokenPair:
    """Return the pair that is known to be there."""
    return db.session.scalars(select(TokenPair).where(*is_of(symbol))).one()


def is_of(symbol: Symbol) -> Iterator[ColumnElement[bool]]:
    """Yield what a token pair must be to be this one."""
    yield TokenPair.base_asset == symbol.base_asset
    yield TokenPair.quote_asset == symbol.quote_asset
    yield TokenPair.settle_asset.is_not_distinct_from(symbol.settle_asset)


def get_token_pair(token_pair_id: UUID) -> TokenPair:
    """Return the token pair, or raise `NotFound`."""
    if found := db.session.get(TokenPair, token_pair_id):
        return found
    raise NotFound("There is no such token pair.")


def list_token_pairs(
    filters: Mapping[str, Any],
    sort: TokenPairSort = TokenPairSort.SYMBOL,
    size: int = 50,
    cursor: str | None = None,
) -> Page[TokenPair]:
    """Return one page of the token pairs that have `q` in their symbol, in any spelling."""
    wanted = select(TokenPair)
    if q := filters.get("q"):
        wanted = wanted.where(TEXT.icontains(spelled(q), autoescape=True))
    keys = (ORDERS[sort.removeprefix("-")], TokenPair.id)
    order = [key.desc() if sort.startswith("-") else key.asc() for key in keys]
    return page_of(wanted.order_by(*order), size, cursor)


def markets_of(token_pair_id: UUID) -> Sequence[Market]:
    """Return the markets that exchanges make of the pair, by exchange."""
    wanted = select(Market).where(Market.token_pair_id == token_pair_id)
    return db.session.scalars(wanted.order_by(Market.exchange)).all()


def spelled(text: str) -> str:
    """Return a pair that is looked for as it is stored, and any other text as it is."""
    try:
        return parse(text).text
    except SymbolError:
        return text
