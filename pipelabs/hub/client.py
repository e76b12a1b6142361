"""A client's exchanges: its markets and its key at each, and whether the desk may trade there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from pipelabs.core.db import db
from pipelabs.coverage.queries import CoverageRow, coverage_of, coverage_of_clients
from pipelabs.coverage.rules import Cell, Coverage
from pipelabs.desk.alerts import EXPIRING, IN_USE
from pipelabs.exchanges import registry
from pipelabs.models import (
    Client,
    ClientMarket,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    Market,
    OnboardingEnd,
    QuotingStatus,
    now,
)

NEVER = datetime.max.replace(tzinfo=UTC)


class MarketCounts(NamedTuple):
    """The number of a client's markets at an exchange, by status."""

    active: int = 0
    paused: int = 0
    delisted: int = 0

    @property
    def quoted(self) -> int:
        """Return how many the client has, paused or not."""
        return self.active + self.paused


@dataclass(frozen=True, slots=True)
class ExchangeRow:
    """A client at an exchange."""

    exchange: str
    name: str
    markets: MarketCounts
    cell: Cell | None
    """Its coverage, or None without an active market and without a key that counts."""
    key: ExchangeAPIKey | None
    """The key that the coverage names, else the newest that is not destroyed."""
    replacement: ExchangeAPIKey | None
    """The verified candidate that waits for the cut-over from that key."""
    other_keys: int
    has_key_in_use: bool
    """Whether a key is live or may become so, of a testnet too."""

    @property
    def has_usable_key(self) -> bool:
        """Return whether the desk may trade with the key."""
        return bool(self.cell and self.cell.key_id and not self.cell.key_problem)

    @property
    def expires_at(self) -> datetime:
        """Return when the key that may be used expires, or the end of time."""
        expires_at = self.key.expires_at if self.key and self.has_usable_key else None
        return expires_at or NEVER

    @property
    def is_expiring(self) -> bool:
        """Return whether the key that may be used expires soon."""
        return self.expires_at <= now() + EXPIRING


@dataclass(frozen=True, slots=True)
class ClientHub:
    """A client and its exchanges, by name."""

    client: Client
    rows: Sequence[ExchangeRow]
    markets: int
    """How many the list of its markets has, delisted ones included."""
    keys: int
    """How many are not destroyed."""
    onboarding_end: OnboardingEnd | None
    """The record that what onboarding lacks is not needed."""

    @property
    def quoted(self) -> list[ExchangeRow]:
        """Return the exchanges where the client has markets, paused or not."""
        return [row for row in self.rows if row.markets.quoted]

    def with_coverage(self, kind: Coverage) -> list[ExchangeRow]:
        """Return the exchanges with this coverage."""
        return [row for row in self.rows if row.cell and row.cell.coverage is kind]


def open_hub(client_id: UUID) -> ClientHub:
    """Return a client and its exchanges, or raise `NotFound`."""
    [hub] = _build_hubs([coverage_of(client_id)])
    return hub


def open_hubs(clients: Sequence[Client]) -> list[ClientHub]:
    """Return clients and their exchanges, with as many queries as for one client."""
    return _build_hubs(coverage_of_clients(clients))


def _build_hubs(coverage: Sequence[CoverageRow]) -> list[ClientHub]:
    ids = [row.client.id for row in coverage]
    markets, keys = _count_markets(ids), _list_keys(ids)
    ended = select(OnboardingEnd).where(OnboardingEnd.client_id.in_(ids))
    ends = {end.client_id: end for end in db.session.scalars(ended)}
    return [
        _build_hub(row, markets.get(client_id, {}), keys.get(client_id, {}), ends.get(client_id))
        for client_id, row in zip(ids, coverage, strict=True)
    ]


def _build_hub(
    coverage: CoverageRow,
    markets: Mapping[str, MarketCounts],
    keys: Mapping[str, Sequence[ExchangeAPIKey]],
    end: OnboardingEnd | None,
) -> ClientHub:
    cells = coverage.by_exchange
    slugs = {*cells, *keys, *(slug for slug, counts in markets.items() if counts.quoted)}
    rows = [
        _build_row(slug, markets.get(slug, MarketCounts()), cells.get(slug), keys.get(slug, []))
        for slug in slugs
    ]
    return ClientHub(
        coverage.client,
        sorted(rows, key=lambda row: (row.name.casefold(), row.exchange)),
        sum(map(sum, markets.values())),
        sum(map(len, keys.values())),
        end,
    )


def _build_row(
    slug: str, markets: MarketCounts, cell: Cell | None, keys: Sequence[ExchangeAPIKey]
) -> ExchangeRow:
    key_id = cell.key_id if cell else None
    key = next((key for key in keys if key.id == key_id), keys[0] if keys else None)
    replacement = next(
        (
            candidate
            for candidate in keys
            if key
            and candidate.replaces_id == key.id
            and candidate.stage is KeyStage.CANDIDATE
            and candidate.status is KeyStatus.VERIFIED
        ),
        None,
    )
    known = registry.known().get(slug)
    others = len(keys) - sum(shown is not None for shown in (key, replacement))
    name = known.name if known else slug
    in_use = any(key.stage in IN_USE for key in keys)
    return ExchangeRow(slug, name, markets, cell, key, replacement, others, in_use)


def _count_markets(client_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, MarketCounts]]:
    """Return client → exchange → the number of its markets there."""
    place = (ClientMarket.client_id, Market.exchange)
    query = (
        select(
            *place,
            *(func.count().filter(ClientMarket.status == status) for status in QuotingStatus),
        )
        .select_from(ClientMarket)
        .join(ClientMarket.market)
        .where(ClientMarket.client_id.in_(client_ids))
        .group_by(*place)
    )
    counts: dict[UUID, dict[str, MarketCounts]] = {}
    for client_id, exchange, *of_status in db.session.execute(query):
        counts.setdefault(client_id, {})[exchange] = MarketCounts(*of_status)
    return counts


def _list_keys(client_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, list[ExchangeAPIKey]]]:
    """Return client → exchange → the keys that are not destroyed, newest first."""
    query = select(ExchangeAPIKey).where(
        ExchangeAPIKey.client_id.in_(client_ids), ExchangeAPIKey.stage != KeyStage.DESTROYED
    )
    keys: dict[UUID, dict[str, list[ExchangeAPIKey]]] = {}
    for key in db.session.scalars(query.order_by(ExchangeAPIKey.id.desc())):
        keys.setdefault(key.client_id, {}).setdefault(key.exchange, []).append(key)
    return keys
