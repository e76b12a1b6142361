"""The rules of who is quoted where."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVarTuple
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import contains_eager

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.service import get_client
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.core.pagination import Page, page_of
from pipelabs.markets.markets import told
from pipelabs.markets.token_pairs import TEXT
from pipelabs.models import Client, ClientMarket, Market, MarketStatus, QuotingStatus, Status, now

T = TypeVarTuple("T")
OFFBOARDED = "An offboarded client stays as it is."
BY_DELISTING = "A client's market becomes delisted by its market's delisting alone."
QUOTED = (
    select(
        *(ClientMarket.id, ClientMarket.market_id, Market.token_pair_id, TEXT.label("symbol")),
        *(Market.exchange, Market.exchange_symbol, Market.status.label("market_status")),
        *(ClientMarket.bot, ClientMarket.spread_target_bps, ClientMarket.daily_volume_target),
        *(ClientMarket.status, ClientMarket.version),
        *(ClientMarket.created_at, ClientMarket.updated_at),
    )
    .select_from(ClientMarket)
    .join(ClientMarket.market)
    .join(Market.token_pair)
)
"""As plain rows: objects of three tables take several times as long, and there are hundreds."""


def quoted_markets(client_id: UUID, filters: Mapping[str, Any]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return all of a client's markets that fit, by exchange and symbol; `filters` as below."""
    wanted = _narrowed(QUOTED.where(ClientMarket.client_id == client_id), filters)
    return db.session.execute(wanted.order_by(Market.exchange, TEXT)).all()


def list_client_markets(
    client_id: UUID, filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[ClientMarket]:
    """Return one page of a client's markets, by exchange and symbol; raise `NotFound`.

    `filters` is what `ClientMarketsQuery` loads: `exchange` and `status`.
    """
    get_client(client_id)
    wanted = _narrowed(_objects().where(ClientMarket.client_id == client_id), filters)
    return page_of(wanted.order_by(Market.exchange, TEXT, ClientMarket.id), size, cursor)


def quoted_in(
    *, token_pair_id: UUID | None = None, market_id: UUID | None = None, cursor: str | None = None
) -> Page[ClientMarket]:
    """Return one page of the clients that are quoted in a pair, or in one market, by name."""
    wanted = _objects().join(ClientMarket.client).options(contains_eager(ClientMarket.client))
    here = ClientMarket.market_id == market_id
    wanted = wanted.where(here if market_id else Market.token_pair_id == token_pair_id)
    order = (func.lower(Client.name), Market.exchange, ClientMarket.id)
    return page_of(wanted.order_by(*order), 50, cursor)


def exchanges_of(client_id: UUID) -> Sequence[str]:
    """Return on which exchanges a client is or was quoted, in order."""
    wanted = select(Market.exchange).distinct().join(ClientMarket)
    wanted = wanted.where(ClientMarket.client_id == client_id)
    return db.session.scalars(wanted.order_by(Market.exchange)).all()


def summary_of(client_id: UUID) -> Row[int, int]:
    """Return in how many `pairs` on how many `exchanges` a client is quoted."""
    pairs = func.count(Market.token_pair_id.distinct()).label("pairs")
    exchanges = func.count(Market.exchange.distinct()).label("exchanges")
    wanted = select(pairs, exchanges).select_from(ClientMarket).join(ClientMarket.market)
    quoted = ClientMarket.status != QuotingStatus.DELISTED
    return db.session.execute(wanted.where(ClientMarket.client_id == client_id, quoted)).one()


def get_client_market(client_id: UUID, client_market_id: UUID) -> ClientMarket:
    """Return the client's market, or raise `NotFound`."""
    found = db.session.get(ClientMarket, client_market_id)
    if found and found.client_id == client_id:
        return found
    raise NotFound("There is no such market of this client.")


def update_client_market(
    client_id: UUID,
    client_market_id: UUID,
    data: Mapping[str, Any],
    actor: Actor,
    *,
    version: int | None = None,
) -> ClientMarket:
    """Change the fields in `data` and record what each was and is; nothing new leaves no trace.

    `data` is what `ClientMarketPatch` loads. Raise `Stale` if `version` is not the stored one, and
    `InvalidTransition` for an offboarded client or a status that only a delisting or a listing
    gives.
    """
    stored = _locked(get_client_market(client_id, client_market_id), version)
    changed = {name: value for name, value in data.items() if getattr(stored, name) != value}
    if not changed:
        return stored
    if "status" in changed:
        _reject_move(stored, changed["status"])
    where = {"markets": f"{stored.symbol} on {stored.exchange}"}
    facts = where | {"client_market": str(stored.id), "changed": ",".join(changed)}
    for name, value in changed.items():
        facts |= {f"from_{name}": told(getattr(stored, name)), f"to_{name}": told(value)}
        setattr(stored, name, value)
    stored.version, stored.updated_at = stored.version + 1, now()
    trail.record(Event.CLIENT_MARKET_UPDATED, actor, client_id=client_id, facts=facts)
    return stored


def _locked(found: ClientMarket, version: int | None) -> ClientMarket:
    """Return it locked, after its client and its market: a delisting takes them in this order."""
    locks: list[Select[Any]] = [
        select(Client).where(Client.id == found.client_id).with_for_update(read=True),
        select(Market).where(Market.id == found.market_id).with_for_update(read=True, of=Market),
        select(ClientMarket).where(ClientMarket.id == found.id).with_for_update(of=ClientMarket),
    ]
    anew = {"populate_existing": True}
    client: Client
    stored: ClientMarket
    client, _, stored = (db.session.scalars(one, execution_options=anew).one() for one in locks)
    if client.status is Status.OFFBOARDED:
        raise InvalidTransition(OFFBOARDED)
    reject_stale("It", stored.version, version)
    return stored


def _reject_move(stored: ClientMarket, status: QuotingStatus) -> None:
    sentence = ""
    if stored.market_status is MarketStatus.DELISTED:
        sentence = f"{stored.symbol} is delisted on {stored.exchange}."
    elif status is QuotingStatus.DELISTED:
        sentence = BY_DELISTING
    if sentence:
        facts = {"from": stored.status.value, "to": status.value}
        raise InvalidTransition(sentence, fields={"status": [sentence]}, facts=facts)


def _objects() -> Select[ClientMarket]:
    market = contains_eager(ClientMarket.market)
    wanted = select(ClientMarket).join(ClientMarket.market).join(Market.token_pair)
    return wanted.options(market, market.contains_eager(Market.token_pair))


def _narrowed(wanted: Select[*T], filters: Mapping[str, Any]) -> Select[*T]:
    if exchange := filters.get("exchange"):
        wanted = wanted.where(Market.exchange == exchange)
    if status := filters.get("status"):
        wanted = wanted.where(ClientMarket.status == status)
    return wanted
