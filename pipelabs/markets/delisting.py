"""Delist the client markets of a delisted market, in batches that commit one by one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select, update

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.queries import NAME_COLUMN
from pipelabs.core.actor import Actor
from pipelabs.core.db import db, finish
from pipelabs.models import Client, ClientMarket, Market, QuotingStatus, now

BATCH = 1_000
MAX_LISTED = 50
"""Affected clients that an answer or a page names. There can be tens of thousands."""
QUOTED = (QuotingStatus.ACTIVE, QuotingStatus.PAUSED)
"""In this order: an active client market may be paused meanwhile, but not the other way round."""


@dataclass(frozen=True, slots=True)
class AffectedClients:
    """How many clients a delisting affects, active or paused; id and name of the first, by name."""

    active: int
    paused: int
    listed: Sequence[Row[UUID, str]]

    @property
    def count(self) -> int:
        """Return the number of all of them."""
        return self.active + self.paused


NO_CLIENTS = AffectedClients(0, 0, [])


def find_affected_clients(market_id: UUID) -> AffectedClients:
    """Return the clients that a delisting would affect, or has yet to affect."""
    # Taken from the index and then sorted. Sorting all of them would take long.
    first = select(ClientMarket.client_id).where(*_is_quoted(market_id)).limit(MAX_LISTED)
    listed = select(Client.id, Client.name).where(Client.id.in_(db.session.scalars(first).all()))
    rows = db.session.execute(listed.order_by(NAME_COLUMN, Client.id)).all()
    return _affected(_count_by_status(market_id), rows)


def count_affected_clients(market_id: UUID) -> int:
    """Return the number of clients that a delisting would affect, or has yet to affect."""
    return sum(_count_by_status(market_id).values())


def count_affected_by_market(market_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return market → number of clients that a delisting would affect, if there are any."""
    query = select(ClientMarket.market_id, func.count())
    query = query.where(ClientMarket.market_id.in_(market_ids), ClientMarket.status.in_(QUOTED))
    rows = db.session.execute(query.group_by(ClientMarket.market_id))
    return {row[0]: row[1] for row in rows}


def lock_affected_clients(market_ids: Collection[UUID]) -> None:
    """Lock the clients that a delisting of these markets would affect, by id, before the markets.

    So a delisting of several markets and an offboarding of several clients can't deadlock.
    """
    affected = select(ClientMarket.client_id).where(
        ClientMarket.market_id.in_(market_ids), ClientMarket.status.in_(QUOTED)
    )
    query = select(Client.id).where(Client.id.in_(affected)).order_by(Client.id)
    db.session.execute(query.with_for_update(read=True))


def _affected(
    counts: Mapping[QuotingStatus, int], listed: Sequence[Row[UUID, str]]
) -> AffectedClients:
    active, paused = (counts.get(status, 0) for status in QUOTED)
    return AffectedClients(active, paused, listed)


def _count_by_status(market_id: UUID) -> dict[QuotingStatus, int]:
    query = select(ClientMarket.status, func.count()).where(*_is_quoted(market_id))
    rows = db.session.execute(query.group_by(ClientMarket.status))
    return {row[0]: row[1] for row in rows}


def delist_client_markets(market: Market, actor: Actor) -> AffectedClients:
    """Delist every client's market there and record it for each client; return the clients.

    The market is delisted and locked. After each full batch the caller's transaction is committed,
    and the market locked again, so that no other call waits for all of them. If it is interrupted,
    the market stays delisted, no client is quoted there, and the next call goes on.
    """
    market_id, listed = market.id, find_affected_clients(market.id).listed
    facts = {
        "markets": f"{market.symbol} on {market.exchange}",
        "market": str(market_id),
        "exchange": market.exchange,
    }
    counts = dict.fromkeys(QUOTED, 0)
    for status in QUOTED:
        after = UUID(int=0)
        while delisted := _delist_batch(market_id, status, after):
            each = [(row.client_id, facts | {"client_market": str(row.id)}) for row in delisted]
            trail.record_each(Event.CLIENT_MARKET_DELISTED, actor, each)
            counts[status] += len(delisted)
            if len(delisted) < BATCH:
                break
            after = max(row.client_id for row in delisted)
            finish(commit=True)
            db.session.execute(select(Market.id).where(Market.id == market_id).with_for_update())
    return _affected(counts, listed)


def _delist_batch(market_id: UUID, status: QuotingStatus, after: UUID) -> Sequence[Row[UUID, UUID]]:
    """Delist the next client markets in this status, by client; return their ids and clients."""
    batch = select(ClientMarket.id).where(
        ClientMarket.market_id == market_id,
        ClientMarket.status == status,
        ClientMarket.client_id > after,
    )
    batch = batch.order_by(ClientMarket.client_id).limit(BATCH).with_for_update()
    # A subquery could be run again for each row, and then the limit would not hold.
    chosen = batch.cte("batch").prefix_with("MATERIALIZED")
    changes = {
        "status": QuotingStatus.DELISTED,
        "was_active": status is QuotingStatus.ACTIVE,
        "updated_at": now(),
        "version": ClientMarket.version + 1,
    }
    statement = update(ClientMarket).where(ClientMarket.id.in_(select(chosen.c.id)))
    statement = statement.values(changes)
    delisted = statement.returning(ClientMarket.id, ClientMarket.client_id)
    options = {"synchronize_session": False}
    return db.session.execute(delisted, execution_options=options).all()


def _is_quoted(market_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions as the index on market and status answers them."""
    return ClientMarket.market_id == market_id, ClientMarket.status.in_(QUOTED)
