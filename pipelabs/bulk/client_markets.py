"""Change many markets of a client: pause or resume quoting, or set its terms."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pipelabs.audit.events import Event
from pipelabs.bulk.target import MAX_ROWS, Noun, Option, Target, Values, parse_ids
from pipelabs.core.actor import Actor
from pipelabs.core.pagination import Page
from pipelabs.exchanges import registry
from pipelabs.markets import client_markets
from pipelabs.markets.schemas.client_markets import (
    ClientMarketChanges,
    ClientMarketPatch,
    ClientMarketsQuery,
)
from pipelabs.models import ClientMarket, QuotingStatus
from pipelabs.models.token_pairs import Bot


class ClientMarketsTarget(Target[ClientMarket]):
    """The list of the markets of one client."""

    noun = Noun("market", "markets")
    event = Event.CLIENT_MARKET_BULK_CHANGED
    query = ClientMarketsQuery
    schema = ClientMarketPatch
    undo_fields = ("bot", "spread_target_bps", "daily_volume_target", "status")
    options = (
        Option(
            field="status",
            words="status",
            value=QuotingStatus.PAUSED,
            verb="Pause",
            done="paused",
            is_button=True,
        ),
        Option(
            field="status",
            words="status",
            value=QuotingStatus.ACTIVE,
            verb="Resume",
            done="resumed",
            is_button=True,
        ),
        Option(field="spread_target_bps", words="spread target (bps)"),
        Option(field="daily_volume_target", words="daily volume target"),
        *(Option(field="bot", words="bot", value=bot) for bot in Bot),
    )

    def __init__(self, client_id: UUID) -> None:
        self.client_id: UUID = client_id

    def list_rows(self, filters: Mapping[str, Any]) -> Page[ClientMarket]:
        """Return the first rows that match the filters."""
        return client_markets.list_client_markets(self.client_id, filters, MAX_ROWS)

    def find(self, keys: Sequence[str]) -> Sequence[ClientMarket]:
        """Return the client's markets, by exchange and symbol."""
        return client_markets.find_client_markets(self.client_id, parse_ids(keys))

    def lock(self, keys: Sequence[str], _: Sequence[Values]) -> None:
        """Lock the client and the markets first, because a delisting locks by market."""
        client_markets.lock_client_markets(self.client_id, parse_ids(keys))

    def name(self, row: ClientMarket) -> str:
        """Return the symbol and the exchange."""
        return f"{row.symbol} on {registry.name_of(row.exchange)}"

    def link(self, row: ClientMarket) -> Mapping[str, Any]:
        """Return the page of the market."""
        return {"endpoint": "admin.markets.show", "market_id": row.market_id}

    def check(self, row: ClientMarket, changed: Mapping[str, Any], _: Actor) -> None:
        """Raise what the service raises."""
        client_markets.reject_change(row, changed)

    def change(
        self, row: ClientMarket, changed: Mapping[str, Any], version: int, actor: Actor
    ) -> None:
        """Change the client's market, which is locked."""
        changes = ClientMarketChanges(**changed)
        client_markets.change_locked(row, changes, actor, version=version)
