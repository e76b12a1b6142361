"""List and change the markets in which clients are quoted."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVarTuple
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import contains_eager
from sqlalchemy.orm.attributes import set_committed_value

from pipelabs.audit import subjects, trail
from pipelabs.audit.changes import change_facts
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind, Place
from pipelabs.clients.queries import NAME_COLUMN
from pipelabs.clients.service import get_client, reject_offboarded
from pipelabs.core.actor import Actor
from pipelabs.core.commands import differing, set_fields
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.core.pagination import Page, page_of
from pipelabs.exchanges import registry
from pipelabs.markets.schemas.client_markets import ClientMarketChanges
from pipelabs.markets.token_pairs import SYMBOL_COLUMN
from pipelabs.models import Client, ClientMarket, Market, MarketStatus, QuotingStatus, now

T = TypeVarTuple("T")
ONLY_BY_DELISTING = "Only delisting the market can set this status."
SELECT_ROWS = (
    select(
        *(ClientMarket.id, ClientMarket.market_id, Market.token_pair_id),
        *(SYMBOL_COLUMN.label("symbol"), Market.exchange, Market.exchange_symbol),
        Market.status.label("market_status"),
        *(ClientMarket.bot, ClientMarket.spread_target_bps, ClientMarket.daily_volume_target),
        *(ClientMarket.status, ClientMarket.version),
        *(ClientMarket.created_at, ClientMarket.updated_at),
    )
    .select_from(ClientMarket)
    .join(ClientMarket.market)
    .join(Market.token_pair)
)
"""Plain rows: a call adds hundreds, and objects of three tables take several times longer."""


def list_client_markets(
    client_id: UUID, filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[ClientMarket]:
    """Return one page of a client's markets, by exchange and symbol; raise `NotFound`.

    `filters` is what `ClientMarketsQuery` loads: `exchange` and `status`.
    """
    get_client(client_id)
    query = _add_filters(_select_objects().where(ClientMarket.client_id == client_id), filters)
    return page_of(query.order_by(Market.exchange, SYMBOL_COLUMN, ClientMarket.id), size, cursor)


def list_quoted_clients(
    *,
    token_pair_id: UUID | None = None,
    market_id: UUID | None = None,
    size: int = 50,
    cursor: str | None = None,
) -> Page[ClientMarket]:
    """Return one page of the client markets of a token pair or of one market, by client name."""
    query = _select_objects().join(ClientMarket.client).options(contains_eager(ClientMarket.client))
    if market_id:
        own = counted = ClientMarket.market_id == market_id
    else:
        own = Market.token_pair_id == token_pair_id
        counted = ClientMarket.market_id.in_(select(Market.id).where(own))
    order = (NAME_COLUMN, Market.exchange, ClientMarket.id)
    count = select(ClientMarket.id).where(counted)
    return page_of(query.where(own).order_by(*order), size, cursor, counted=count)


def list_client_exchanges(client_id: UUID) -> Sequence[str]:
    """Return the slugs of the exchanges on which a client is or was quoted, in order."""
    query = select(Market.exchange).distinct().join(ClientMarket)
    query = query.where(ClientMarket.client_id == client_id)
    return db.session.scalars(query.order_by(Market.exchange)).all()


def count_quoted(client_id: UUID) -> Row[int, int]:
    """Return the number of `pairs` in which, and of `exchanges` on which, a client is quoted."""
    pairs = func.count(Market.token_pair_id.distinct()).label("pairs")
    exchanges = func.count(Market.exchange.distinct()).label("exchanges")
    query = select(pairs, exchanges).select_from(ClientMarket).join(ClientMarket.market)
    is_quoted = ClientMarket.status != QuotingStatus.DELISTED
    return db.session.execute(query.where(ClientMarket.client_id == client_id, is_quoted)).one()


def get_client_market(client_id: UUID, client_market_id: UUID) -> ClientMarket:
    """Return the client's market, or raise `NotFound`."""
    client_market = db.session.get(ClientMarket, client_market_id)
    if client_market and client_market.client_id == client_id:
        return client_market
    raise NotFound("There is no such market of this client.")


def find_client_markets(client_id: UUID, ids: Collection[UUID]) -> Sequence[ClientMarket]:
    """Return those of the client's markets that have these ids, by exchange and symbol."""
    query = _select_objects().join(ClientMarket.client).options(contains_eager(ClientMarket.client))
    query = query.where(ClientMarket.client_id == client_id, ClientMarket.id.in_(ids))
    return db.session.scalars(query.order_by(Market.exchange, SYMBOL_COLUMN)).all()


def update_client_market(
    client_id: UUID,
    client_market_id: UUID,
    changes: ClientMarketChanges,
    actor: Actor,
    *,
    version: int | None = None,
) -> ClientMarket:
    """Change a client's market and record the changes; record nothing if nothing changes.

    Raise `Stale` if `version` is not the stored one, and `InvalidTransition` for an offboarded
    client or for a status that only delisting or listing the market can set.
    """
    get_client_market(client_id, client_market_id)
    [stored] = lock_client_markets(client_id, [client_market_id])
    change_locked(stored, changes, actor, version=version)
    return stored


def lock_client_markets(client_id: UUID, ids: Collection[UUID]) -> Sequence[ClientMarket]:
    """Lock markets of a client and return them as they are now, by id.

    The client and the markets are locked first, each in the order of ids, and a delisting locks in
    the same order: the consistent lock order prevents deadlocks.
    """
    is_meant = (ClientMarket.client_id == client_id, ClientMarket.id.in_(ids))
    market_ids = select(ClientMarket.market_id).where(*is_meant)
    is_market = Market.id.in_(db.session.scalars(market_ids).all())
    queries: list[Select[Any]] = [
        select(Client).where(Client.id == client_id).with_for_update(read=True),
        select(Market).where(is_market).order_by(Market.id).with_for_update(read=True, of=Market),
        select(ClientMarket)
        .where(*is_meant)
        .order_by(ClientMarket.id)
        .with_for_update(of=ClientMarket),
    ]
    options = {"populate_existing": True}
    clients, _, stored = (
        db.session.scalars(query, execution_options=options).all() for query in queries
    )
    for row in stored:
        set_committed_value(row, "client", clients[0])
    return stored


def change_locked(
    stored: ClientMarket, changes: ClientMarketChanges, actor: Actor, *, version: int | None = None
) -> None:
    """Change a client's market that is locked, and record it, as `update_client_market` does."""
    reject_offboarded(stored.client)
    reject_stale("The market", stored.version, version)
    changed = differing(stored, set_fields(changes))
    if not changed:
        return
    reject_change(stored, changed)
    facts = describe(stored) | change_facts(stored, changed)
    for name, value in changed.items():
        setattr(stored, name, value)
    if "status" in changed:
        stored.was_active = False
    stored.version, stored.updated_at = stored.version + 1, now()
    trail.record(Event.CLIENT_MARKET_UPDATED, actor, client_id=stored.client_id, facts=facts)


def reject_change(stored: ClientMarket, changed: Mapping[str, Any]) -> None:
    """Raise `InvalidTransition` for an offboarded client, or for a status that can't be set."""
    reject_offboarded(stored.client)
    status, sentence = changed.get("status"), ""
    if not status:
        return
    if stored.market_status is MarketStatus.DELISTED:
        sentence = f"{stored.symbol} is delisted on {registry.name_of(stored.exchange)}."
    elif status is QuotingStatus.DELISTED:
        sentence = ONLY_BY_DELISTING
    if sentence:
        facts = {"from": stored.status.value, "to": status.value}
        raise InvalidTransition(sentence, fields={"status": [sentence]}, facts=facts)


def describe(stored: ClientMarket) -> dict[str, str]:
    """Return what every event of a client's market records."""
    return {
        "markets": f"{stored.symbol} on {stored.exchange}",
        "client_market": str(stored.id),
        "market": str(stored.market_id),
        "exchange": stored.exchange,
    }


@subjects.register(Kind.CLIENT_MARKET)
def _find_place(client_market_id: UUID) -> Place | None:
    query = select(ClientMarket.client_id, Market.exchange).join(ClientMarket.market)
    row = db.session.execute(query.where(ClientMarket.id == client_market_id)).first()
    return Place(*row) if row else None


def _select_objects() -> Select[ClientMarket]:
    market = contains_eager(ClientMarket.market)
    query = select(ClientMarket).join(ClientMarket.market).join(Market.token_pair)
    return query.options(market, market.contains_eager(Market.token_pair))


def _add_filters(query: Select[*T], filters: Mapping[str, Any]) -> Select[*T]:
    if exchange := filters.get("exchange"):
        query = query.where(Market.exchange == exchange)
    if status := filters.get("status"):
        query = query.where(ClientMarket.status == status)
    return query
