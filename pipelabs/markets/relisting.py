"""List a delisted market again, and resume the quoting that its delisting had ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnExpressionArgument, Row, Select, func, select, update

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.queries import NAME_COLUMN
from pipelabs.core.actor import Actor
from pipelabs.core.db import db, finish
from pipelabs.markets.delisting import BATCH, MAX_LISTED
from pipelabs.markets.markets import update_market
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import Client, ClientMarket, Market, MarketStatus, QuotingStatus, Status, now

CHANGE = {
    "changed": "status",
    "from_status": QuotingStatus.DELISTED.value,
    "to_status": QuotingStatus.ACTIVE.value,
}
"""What the event of each resumed client market records."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """How many clients can be quoted in a market again; id and name of the first, by name."""

    count: int
    listed: Sequence[Row[UUID, str]]


class Batch(NamedTuple):
    """Locked clients to resume. If the batch `is_full`, there may be more."""

    client_ids: Sequence[UUID]
    is_full: bool


NOTHING = Batch([], is_full=False)


class Relisted(NamedTuple):
    """A market that is listed again, and the number of clients that are quoted there again."""

    market: Market
    resumed: int


def find_resumable(market_id: UUID) -> Resumable:
    """Return the clients that were active when the market was delisted, if it still is.

    Offboarded clients are left out.
    """
    if not _is_delisted(market_id):
        return Resumable(0, [])
    query = _select_resumable(market_id)
    count = db.session.scalar(query.with_only_columns(func.count())) or 0
    if not count:
        return Resumable(0, [])
    listed = query.with_only_columns(Client.id, Client.name).order_by(NAME_COLUMN, Client.id)
    return Resumable(count, db.session.execute(listed.limit(MAX_LISTED)).all())


def relist_market(
    market_id: UUID, actor: Actor, *, version: int | None = None, is_resumed: bool
) -> Relisted:
    """List the market again. With `is_resumed`, clients that were active there are active again.

    That is only for a delisted market: one that is halted has been listed again since.

    Each client's market has its own event. Raise as `update_market`. After each full batch the
    caller's transaction is committed, as a delisting does. If it is interrupted, the clients that
    are left stay delisted.
    """
    batch = _lock_clients(market_id) if is_resumed and _is_delisted(market_id) else NOTHING
    changes = MarketChanges(status=MarketStatus.TRADING)
    market, _ = update_market(market_id, changes, actor, version=version)
    return Relisted(market, _resume(market, batch, actor))


def _resume(market: Market, batch: Batch, actor: Actor) -> int:
    """Set the client markets to active; return their number. Clients and market are locked."""
    market_id, count = market.id, 0
    facts = CHANGE | {
        "markets": f"{market.symbol} on {market.exchange}",
        "market": str(market_id),
        "exchange": market.exchange,
    }
    while batch.client_ids or batch.is_full:
        resumed = _resume_batch(market_id, batch.client_ids)
        each = [(row.client_id, facts | {"client_market": str(row.id)}) for row in resumed]
        if each:
            trail.record_each(Event.CLIENT_MARKET_UPDATED, actor, each)
        count += len(resumed)
        batch = _begin_next(market_id) if batch.is_full else NOTHING
    return count


def _begin_next(market_id: UUID) -> Batch:
    """Commit, and lock the next clients and the market, unless it is delisted meanwhile."""
    finish(commit=True)
    batch = _lock_clients(market_id)
    query = select(Market.status).where(Market.id == market_id).with_for_update()
    return NOTHING if db.session.scalar(query) is MarketStatus.DELISTED else batch


def _is_delisted(market_id: UUID) -> bool:
    query = select(Market.status).where(Market.id == market_id)
    return db.session.scalar(query) is MarketStatus.DELISTED


def _lock_clients(market_id: UUID) -> Batch:
    """Lock the next clients to resume, by id, so that none is offboarded.

    One that was offboarded while the lock was awaited is left out, so that a full batch can have
    fewer clients.

    Clients are locked before the market, as for any change of a client's market: the consistent
    lock order prevents deadlocks.
    """
    first = _select_resumable(market_id).order_by(ClientMarket.client_id).limit(BATCH)
    found = db.session.scalars(first).all()
    clients = select(Client.id).where(Client.id.in_(found), IS_OPEN).order_by(Client.id)
    locked = db.session.scalars(clients.with_for_update(read=True)).all()
    return Batch(locked, is_full=len(found) == BATCH)


def _resume_batch(market_id: UUID, client_ids: Sequence[UUID]) -> Sequence[Row[UUID, UUID]]:
    """Resume the markets of these clients; return their ids and clients."""
    is_resumed = (*_was_active(market_id), ClientMarket.client_id.in_(client_ids))
    changes = {
        "status": QuotingStatus.ACTIVE,
        "was_active": False,
        "updated_at": now(),
        "version": ClientMarket.version + 1,
    }
    statement = update(ClientMarket).where(*is_resumed).values(changes)
    resumed = statement.returning(ClientMarket.id, ClientMarket.client_id)
    options = {"synchronize_session": False}
    return db.session.execute(resumed, execution_options=options).all()


IS_OPEN = Client.status != Status.OFFBOARDED


def _select_resumable(market_id: UUID) -> Select[UUID]:
    query = select(ClientMarket.client_id).join(ClientMarket.client)
    return query.where(*_was_active(market_id), IS_OPEN)


def _was_active(market_id: UUID) -> list[ColumnExpressionArgument[bool]]:
    is_delisted = ClientMarket.status == QuotingStatus.DELISTED
    return [ClientMarket.market_id == market_id, is_delisted, ClientMarket.was_active]
