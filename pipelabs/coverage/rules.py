"""Whether the desk may trade for a client at an exchange: the one rule, in Python and in SQL.

A *cell* is a client at an exchange where it is quoted in a market or has a key that counts. Only
live keys count, and none of a testnet, because markets are real. `judge` decides about one cell.
`select_clients` finds the clients that have a cell of a kind, by what the rows say. Only `judge`
also checks the signature of a key. An altered key is a gap there, before it is quarantined.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Text, and_, any_, func, or_, select
from sqlalchemy.orm import aliased

from pipelabs.markets.symbols import normalise_symbol
from pipelabs.markets.token_pairs import SYMBOL_COLUMN
from pipelabs.models import (
    ClientMarket,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    Market,
    Proof,
    QuotingStatus,
    TokenPair,
    now,
)
from pipelabs.vault.signing import check_row

IS_QUOTED = ClientMarket.status == QuotingStatus.ACTIVE
KEY = aliased(ExchangeAPIKey)
"""The key that a condition about another row looks for."""


class Coverage(StrEnum):
    """Whether the desk may trade for a client at an exchange."""

    COVERED = "covered"
    KEY_UNUSABLE = "key_unusable"
    NO_KEY = "no_key"
    NOT_QUOTED = "not_quoted"


GAPS = frozenset({Coverage.KEY_UNUSABLE, Coverage.NO_KEY})
"""The client is quoted, and the desk may not trade."""


class CoverageFilter(StrEnum):
    """Which cells to list: those of one kind, or every gap."""

    GAP = "gap"
    COVERED = "covered"
    KEY_UNUSABLE = "key_unusable"
    NO_KEY = "no_key"
    NOT_QUOTED = "not_quoted"

    @property
    def kinds(self) -> frozenset[Coverage]:
        """Return the kinds of cells that it selects."""
        return GAPS if self is CoverageFilter.GAP else frozenset({Coverage(self.value)})


class KeyProblem(StrEnum):
    """Why a live key may not be used to trade."""

    UNVERIFIED = "unverified"
    QUARANTINED = "quarantined"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Cell:
    """A client at an exchange."""

    exchange: str
    markets: int
    """In how many the client is quoted as active."""
    coverage: Coverage
    key_id: UUID | None
    """The key that may be used, or else the newest one."""
    key_problem: KeyProblem | None

    @property
    def is_gap(self) -> bool:
        """Return whether the client is quoted and the desk may not trade."""
        return self.coverage in GAPS


def judge(exchange: str, markets: int, keys: Iterable[Any]) -> Cell:
    """Return the cell of a client that is quoted in `markets` of the exchange, 0 or more.

    `keys` are the live keys that count, newest first, with `vault.signing.COLUMNS` as attributes.
    """
    key_id, problem = None, None
    for key in keys:
        key_problem = find_problem(key)
        if key_id is None or key_problem is None:
            key_id, problem = key.id, key_problem
        if problem is None:
            break
    if not markets:
        coverage = Coverage.NOT_QUOTED
    elif key_id is None:
        coverage = Coverage.NO_KEY
    else:
        coverage = Coverage.KEY_UNUSABLE if problem else Coverage.COVERED
    return Cell(exchange, markets, coverage, key_id, problem)


def find_problem(key: Any) -> KeyProblem | None:
    """Return why a live key may not be used to trade, or None if it may."""
    if key.status is KeyStatus.UNVERIFIED:
        return KeyProblem.UNVERIFIED
    if key.status is not KeyStatus.VERIFIED:
        return KeyProblem.QUARANTINED
    if key.expires_at is not None and key.expires_at <= now():
        return KeyProblem.EXPIRED
    return None if check_row(key) is Proof.VALID else KeyProblem.QUARANTINED


def counts(key: Any = ExchangeAPIKey) -> ColumnElement[bool]:
    """Return the condition that a key counts, whether it may be used or not."""
    return and_(key.stage == KeyStage.LIVE, ~key.is_testnet)


def is_usable(key: Any = ExchangeAPIKey) -> ColumnElement[bool]:
    """Return the condition that a key may be used to trade."""
    is_current = or_(key.expires_at.is_(None), key.expires_at > now())
    return and_(counts(key), key.status == KeyStatus.VERIFIED, is_current)


def select_pairs(text: str) -> Select[UUID]:
    """Return the query for the ids of the pairs whose symbol contains the text, in any spelling."""
    has_symbol = SYMBOL_COLUMN.icontains(normalise_symbol(text), autoescape=True)
    return select(TokenPair.id).where(has_symbol)


def select_clients(
    kind: CoverageFilter | None, exchange: str | None = None, pair: str | None = None
) -> list[Select[UUID]]:
    """Return queries for the ids of the clients that have such a cell; ids can come repeatedly."""
    if not (kind or exchange or pair):  # the join would change nothing and costs most
        markets = select(ClientMarket.client_id).where(IS_QUOTED)
        return [markets, select(ExchangeAPIKey.client_id).where(counts())]
    return [
        query.with_only_columns(query.selected_columns[0], maintain_column_froms=True)
        for query in select_cells(kind, exchange, pair)
    ]


def select_cells(
    kind: CoverageFilter | None, exchange: str | None = None, pair: str | None = None
) -> list[Select[UUID, str]]:
    """Return queries for the client and the exchange of such cells, which can come repeatedly.

    `pair` selects cells in which the client is quoted in a pair whose symbol contains it.
    """
    market = (ClientMarket.client_id, Market.exchange)
    key = (ExchangeAPIKey.client_id, ExchangeAPIKey.exchange)
    quoted = select(*market).select_from(ClientMarket).join(ClientMarket.market).where(IS_QUOTED)
    keyed = select(*key).where(counts())
    if exchange:
        quoted, keyed = quoted.where(market[1] == exchange), keyed.where(key[1] == exchange)
    if pair:
        quoted = quoted.where(Market.token_pair_id.in_(select_pairs(pair)))
    is_quoted = _is_quoted(pair)
    # There are fewer keys than markets, so what has a key is found by it.
    queries: dict[CoverageFilter | None, list[Select[UUID, str]]] = {
        None: [quoted] if pair else [quoted, keyed],
        CoverageFilter.GAP: [quoted.where(~_has_key(*market, is_usable(KEY)))],
        CoverageFilter.NO_KEY: [quoted.where(~_has_key(*market, counts(KEY)))],
        CoverageFilter.KEY_UNUSABLE: [keyed.where(~_has_key(*key, is_usable(KEY)), is_quoted)],
        CoverageFilter.COVERED: [keyed.where(is_usable(), is_quoted)],
        CoverageFilter.NOT_QUOTED: [] if pair else [keyed.where(~is_quoted)],
    }
    return queries[kind]


def _has_key(client_id: Any, exchange: Any, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that the cell has a key of which the condition is true."""
    keys = select(KEY.id).where(KEY.client_id == client_id, KEY.exchange == exchange, condition)
    return keys.correlate_except(KEY).exists()


def _is_quoted(pair: str | None) -> ColumnElement[bool]:
    """Return the condition that the client of a key is quoted at its exchange.

    As an array, because PostgreSQL would read all markets of an exchange for each key.
    """
    exchanges = select(Market.exchange).select_from(ClientMarket).join(ClientMarket.market)
    exchanges = exchanges.where(IS_QUOTED, ClientMarket.client_id == ExchangeAPIKey.client_id)
    if pair:
        exchanges = exchanges.where(Market.token_pair_id.in_(select_pairs(pair)))
    own = func.array(exchanges.correlate(ExchangeAPIKey).scalar_subquery(), type_=ARRAY(Text))
    return ExchangeAPIKey.exchange == any_(own)
