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


class Relisted(NamedTuple):
    """A market that is listed again, and the number of clients that are quoted there again."""

    market: Market
    resumed: int


def find_resumable(market_id: UUID) -> Resumable:
    """Return the clients that were active when the market was delisted, if it still is.

    Offboarded clients are left out.
    """
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

    Each client's market has its own event. Raise as `update_market`. After each full batch the
    caller's transaction is committed, as a delisting does. If it is interrupted, the clients that
    are left stay delisted.
    """
    changes = MarketChanges(status=MarketStatus.TRADING)
    market, _ = update_market(market_id, changes, actor, version=version)
    return Relisted(market, _resume(market, actor) if is_resumed else 0)


def _resume(market: Market, actor: Actor) -> int:
    """Set the client markets to active; return their number. The market is locked."""
    market_id, count = market.id, 0
    facts = CHANGE | {
        "markets": f"{market.symbol} on {market.exchange}",
        "market": str(market_id),
        "exchange": market.exchange,
    }
    while resumed := _resume_batch(market_id):
        each = [(row.client_id, facts | {"client_market": str(row.id)}) for row in resumed]
        trail.record_each(Event.CLIENT_MARKET_UPDATED, actor, each)
        count += len(resumed)
        if len(resumed) < BATCH or not _continue(market_id):
            break
    return count


def _continue(market_id: UUID) -> bool:
    """Commit, lock the market again, and return whether it is still listed."""
    finish(commit=True)
    query = select(Market.status).where(Market.id == market_id).with_for_update()
    return db.session.scalar(query) is not MarketStatus.DELISTED


def _resume_batch(market_id: UUID) -> Sequence[Row[UUID, UUID]]:
    """Resume the next client markets, by client; return their ids and clients."""
    first = _select_resumable(market_id).order_by(ClientMarket.client_id).limit(BATCH)
    # Locked in a consistent order, so that none is offboarded before this ends.
    clients = select(Client.id).where(Client.id.in_(db.session.scalars(first).all()), IS_OPEN)
    clients = clients.order_by(Client.id).with_for_update(read=True)
    is_resumed = (
        *_was_active(market_id),
        ClientMarket.client_id.in_(db.session.scalars(clients).all()),
    )
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
