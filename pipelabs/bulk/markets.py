"""Change many markets: halt them, list them again, delist them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelabs.audit.events import Event
from pipelabs.bulk.target import MAX_ROWS, Change, Noun, Option, Target, Values, parse_ids
from pipelabs.core.actor import Actor
from pipelabs.core.errors import InvalidTransition
from pipelabs.core.pagination import Page
from pipelabs.exchanges import registry
from pipelabs.markets import delisting, markets
from pipelabs.markets.schemas.markets import MarketChanges, MarketPatch, MarketsQuery
from pipelabs.models import Market, MarketStatus

DELISTING = "Quoting ends for every client there. Nothing is deleted."
MANY_CLIENTS = "Too many clients are quoted there. Delist it on its own page."


class MarketsTarget(Target[Market]):
    """The list of markets."""

    noun = Noun("market", "markets")
    event = Event.MARKET_BULK_CHANGED
    query = MarketsQuery
    schema = MarketPatch
    undo_fields = ("exchange_symbol", "price_tick", "amount_step", "min_notional", "status")
    options = (
        Option(
            field="status",
            words="status",
            value=MarketStatus.HALTED,
            verb="Halt",
            done="halted",
            is_button=True,
        ),
        Option(
            field="status",
            words="status",
            value=MarketStatus.TRADING,
            verb="Set to trading",
            done="set to trading",
            is_button=True,
        ),
        Option(
            field="status",
            words="status",
            value=MarketStatus.DELISTED,
            verb="Delist",
            done="delisted",
            warning=DELISTING,
            is_danger=True,
            is_button=True,
        ),
    )

    def list_rows(self, filters: Mapping[str, Any]) -> Page[Market]:
        """Return the first rows that match the filters."""
        return markets.list_markets(filters, MAX_ROWS)

    def find(self, keys: Sequence[str]) -> Sequence[Market]:
        """Return the markets, by symbol and exchange."""
        return markets.find_markets(parse_ids(keys))

    def lock(self, keys: Sequence[str], values: Sequence[Values]) -> None:
        """Lock every market before the first one is changed; before a delisting, the clients too.

        An offboarding of clients goes from client to client, and a delisting from market to market.
        """
        ids = parse_ids(keys)
        if any(own.get("status") == MarketStatus.DELISTED for own in values):
            delisting.lock_affected_clients(ids)
        markets.lock_markets(ids)

    def name(self, row: Market) -> str:
        """Return the symbol and the exchange."""
        return f"{row.symbol} on {registry.name_of(row.exchange)}"

    def link(self, row: Market) -> Mapping[str, Any]:
        """Return the page of the market."""
        return {"endpoint": "admin.markets.show", "market_id": row.id}

    def check(self, row: Market, changed: Mapping[str, Any], _: Actor) -> None:
        """Raise what the service raises. A delisting with commits in between has its own page."""
        if status := changed.get("status"):
            markets.reject_transition(row, status)
            self._reject_batches(row, status)

    def change(self, row: Market, changed: Mapping[str, Any], version: int, actor: Actor) -> None:
        """Change the market."""
        if status := changed.get("status"):
            self._reject_batches(row, status)
        markets.update_market(row.id, MarketChanges(**changed), actor, version=version)

    def notes(self, rows: Sequence[Market], change: Change) -> Mapping[str, str]:
        """Return how many clients a delisting ends quoting for."""
        if change.value != MarketStatus.DELISTED:
            return {}
        counts = delisting.count_affected_by_market([row.id for row in rows])
        return {
            str(market_id): f"{count:,} client{'' if count == 1 else 's'} quoted"
            for market_id, count in counts.items()
        }

    def has_undo(self, row: Market, before: Values, actor: Actor) -> bool:
        """Return whether nothing followed from the change that an undo would leave as it is."""
        is_listed = MarketStatus.DELISTED not in {row.status, before.get("status")}
        return is_listed and super().has_undo(row, before, actor)

    def _reject_batches(self, row: Market, status: MarketStatus) -> None:
        if status is not MarketStatus.DELISTED:
            return
        if delisting.count_affected_clients(row.id) >= delisting.BATCH:
            raise InvalidTransition(MANY_CLIENTS)
