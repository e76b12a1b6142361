"""The names of what events are about, resolved for many events at once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from pipelabs.audit.subjects import FACTS, SUBJECT, Kind, parse
from pipelabs.core.db import db
from pipelabs.exchanges import registry
from pipelabs.models import (
    Admin,
    APIToken,
    AuditEvent,
    Client,
    ClientMarket,
    ExchangeAPIKey,
    Machine,
    Market,
    TokenPair,
)
from pipelabs.models.token_pairs import Symbol

Ids = Mapping[Kind, set[UUID]]
ASSETS = (TokenPair.base_asset, TokenPair.quote_asset, TokenPair.settle_asset)


def exchange_name(slug: str) -> str:
    """Return the name of an exchange, or the slug if the registry does not have it."""
    known = registry.known().get(slug)
    return known.name if known else slug


def _market_name(base: str, quote: str, settle: str | None, exchange: str) -> str:
    return f"{Symbol(base, quote, settle).text} on {exchange_name(exchange)}"


SOURCES: Mapping[Kind, tuple[Select[*tuple[Any, ...]], Callable[..., str]]] = {
    Kind.CLIENT: (select(Client.id, Client.name), str),
    Kind.ADMIN: (select(Admin.id, Admin.email), str),
    Kind.MACHINE: (select(Machine.id, Machine.name), str),
    Kind.API_TOKEN: (select(APIToken.id, APIToken.name), "“{}”".format),
    Kind.TOKEN_PAIR: (
        select(TokenPair.id, *ASSETS),
        lambda *assets: Symbol(*assets).text,
    ),
    Kind.MARKET: (
        select(Market.id, *ASSETS, Market.exchange).join(TokenPair),
        _market_name,
    ),
    Kind.CLIENT_MARKET: (
        select(ClientMarket.id, *ASSETS, Market.exchange)
        .select_from(ClientMarket)
        .join(Market, Market.id == ClientMarket.market_id)
        .join(TokenPair, TokenPair.id == Market.token_pair_id),
        _market_name,
    ),
    Kind.API_KEY: (select(ExchangeAPIKey.id, ExchangeAPIKey.label), "the key “{}”".format),
}
"""Kind → what selects the ids and the parts of names, and what joins the parts."""


class Names:
    """The names of the clients, markets, keys and so on that some events name."""

    def __init__(self, events: Sequence[AuditEvent]) -> None:
        """Send one query for each kind that the events name."""
        self._names = {kind: _query(kind, ids) for kind, ids in _collect(events).items()}
        self._short = _shorten(event.actor for event in events)

    def find(self, kind: Kind, subject_id: str) -> str | None:
        """Return the name, or None for what does not exist or has no name."""
        if kind is Kind.EXCHANGE:
            return exchange_name(subject_id)
        return self._names.get(kind, {}).get(subject_id)

    def actor(self, name: str) -> str:
        """Return the name of who acted: of an e-mail address what is before the @, if unique."""
        return self._short.get(name, name)


def find_name(kind: Kind, subject_id: str) -> str | None:
    """Return the name of one thing, or None for what does not exist or has no name."""
    if kind is Kind.EXCHANGE:
        return exchange_name(subject_id)
    parsed = _parse_id(subject_id) if kind in SOURCES else None
    return _query(kind, {parsed}).get(subject_id) if parsed else None


def _query(kind: Kind, ids: set[UUID]) -> dict[str, str]:
    query, join = SOURCES[kind]
    rows = db.session.execute(query.where(query.selected_columns[0].in_(ids)))
    return {str(row[0]): join(*row[1:]) for row in rows}


def _collect(events: Iterable[AuditEvent]) -> Ids:
    ids: dict[Kind, set[UUID]] = defaultdict(set)
    for event in events:
        for kind, subject_id in _mentioned(event):
            if kind in SOURCES and (parsed := _parse_id(subject_id)):
                ids[kind].add(parsed)
    return ids


def _mentioned(event: AuditEvent) -> Iterator[tuple[Kind, str]]:
    if event.client_id:
        yield Kind.CLIENT, str(event.client_id)
    for name in (SUBJECT, "about"):
        if subject := parse(event.details.get(name, "")):
            yield subject
    for fact, kind in FACTS.items():
        if subject_id := event.details.get(fact):
            yield kind, subject_id


def _parse_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _shorten(actors: Iterable[str | None]) -> dict[str, str]:
    full: dict[str, set[str]] = defaultdict(set)
    for actor in actors:
        if actor and "@" in actor:
            full[actor.partition("@")[0]].add(actor)
    return {names.pop(): short for short, names in full.items() if len(names) == 1}
