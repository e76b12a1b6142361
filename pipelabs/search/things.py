"""What a search finds: how each kind of thing is called, and what tells it from others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, select

from pipelabs.activity.names import exchange_name
from pipelabs.clients.wallets import shorten
from pipelabs.exchanges import registry
from pipelabs.models import Admin, Client, ExchangeAPIKey, KeyStage, Machine, Market, TokenPair
from pipelabs.models.token_pairs import MarketStatus, Symbol


class SearchKind(StrEnum):
    """Kind of what is found. Kinds of the audit trail have the same names."""

    CLIENT = "client"
    TOKEN_PAIR = "token_pair"  # noqa: S105 - a noun
    MARKET = "market"
    API_KEY = "api_key"
    EXCHANGE = "exchange"
    MACHINE = "machine"
    ADMIN = "admin"
    REQUEST = "request"
    """The events of one request."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that has a page. `status` decides what can be done to it."""

    kind: SearchKind
    id: str
    label: str
    detail: str
    status: str = ""
    names: tuple[str, ...] = ()
    """What else it is known by, as a whole, in lower case."""


@dataclass(frozen=True, slots=True)
class Source:
    """The columns of a kind, its id first, and what makes a thing of a row."""

    query: Select[*tuple[Any, ...]]
    build: Callable[[Any], Thing]


ASSETS = (TokenPair.base_asset, TokenPair.quote_asset, TokenPair.settle_asset)


def _build_client(row: Any) -> Thing:
    names = (row.wallet_address, row.email or "")
    detail = " · ".join(filter(None, (shorten(row.wallet_address), row.email)))
    return _thing(SearchKind.CLIENT, row, row.name, detail, row.status, names)


def _build_pair(row: Any) -> Thing:
    detail = f"{row.base_asset} against {row.quote_asset}"
    if row.settle_asset:
        detail += f", settled in {row.settle_asset}"
    return _thing(SearchKind.TOKEN_PAIR, row, _symbol(row), detail, "", (row.base_asset,))


def _build_market(row: Any) -> Thing:
    place = exchange_name(row.exchange)
    is_quoted = row.status is MarketStatus.TRADING
    detail = f"{row.exchange_symbol}" if is_quoted else f"{row.exchange_symbol} · {row.status}"
    label = f"{_symbol(row)} on {place}"
    return _thing(SearchKind.MARKET, row, label, detail, row.status, (row.exchange_symbol,))


def _build_key(row: Any) -> Thing:
    stage = "" if row.stage is KeyStage.LIVE else row.stage.value
    if row.stage is KeyStage.DESTROYED:
        stage = "secrets destroyed"
    parts = (row.client_name, exchange_name(row.exchange), row.label, stage)
    detail = " · ".join(filter(None, parts))
    # A short key shows none of its characters.
    shown = f"••••{row.last_four}" if row.last_four else f"Key “{row.label}”"
    return _thing(SearchKind.API_KEY, row, shown, detail, row.stage, (row.last_four,))


def _build_machine(row: Any) -> Thing:
    return _thing(SearchKind.MACHINE, row, row.name, row.status.value, row.status)


def _build_admin(row: Any) -> Thing:
    detail = f"{row.role}, disabled" if row.is_disabled else row.role.value
    return _thing(SearchKind.ADMIN, row, row.email, detail)


def _thing(
    kind: SearchKind,
    row: Any,
    label: str,
    detail: str,
    status: str = "",
    names: tuple[str, ...] = (),
) -> Thing:
    own = (str(row.id), *(name.lower() for name in names if name))
    return Thing(kind, str(row.id), label, detail, str(status), own)


def _symbol(row: Any) -> str:
    return Symbol(row.base_asset, row.quote_asset, row.settle_asset).text


SOURCES: Mapping[SearchKind, Source] = {
    SearchKind.CLIENT: Source(
        select(Client.id, Client.name, Client.wallet_address, Client.email, Client.status),
        _build_client,
    ),
    SearchKind.TOKEN_PAIR: Source(select(TokenPair.id, *ASSETS), _build_pair),
    SearchKind.MARKET: Source(
        select(Market.id, *ASSETS, Market.exchange, Market.exchange_symbol, Market.status).join(
            TokenPair, TokenPair.id == Market.token_pair_id
        ),
        _build_market,
    ),
    SearchKind.API_KEY: Source(
        select(
            ExchangeAPIKey.id,
            ExchangeAPIKey.last_four,
            ExchangeAPIKey.label,
            ExchangeAPIKey.exchange,
            ExchangeAPIKey.stage,
            Client.name.label("client_name"),
        ).join(Client, Client.id == ExchangeAPIKey.client_id),
        _build_key,
    ),
    SearchKind.MACHINE: Source(select(Machine.id, Machine.name, Machine.status), _build_machine),
    SearchKind.ADMIN: Source(
        select(Admin.id, Admin.email, Admin.role, Admin.is_disabled), _build_admin
    ),
}
"""Kinds that are rows."""


def build_exchange(known: registry.KnownExchange) -> Thing:
    """Return an exchange of the registry."""
    kinds = {"spot": "spot", "derivatives": "derivatives", "both": "spot and derivatives"}
    names = tuple(name.lower() for name in (known.slug, *known.aliases))
    detail = f"{known.slug} · {kinds[known.kind]}"
    return Thing(SearchKind.EXCHANGE, known.slug, known.name, detail, names=names)
