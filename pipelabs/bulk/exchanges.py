"""Enable or disable many exchanges."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelabs.audit.events import Event
from pipelabs.bulk.target import MAX_ROWS, Noun, Target, Values, enabling
from pipelabs.core.actor import Actor
from pipelabs.core.pagination import Page
from pipelabs.exchanges import queries, service
from pipelabs.exchanges.schemas import ExchangeChanges, ExchangesQuery
from pipelabs.models import Exchange

ENABLED, DISABLED = "enabled", "disabled"
DISABLING = "No market and no API key can be added there. Engines lose the keys of these exchanges."


class ExchangesTarget(Target[Exchange]):
    """The list of exchanges."""

    noun = Noun("exchange", "exchanges")
    event = Event.EXCHANGE_BULK_CHANGED
    query = ExchangesQuery
    undo_fields = ("status",)
    options = enabling(ENABLED, DISABLED, DISABLING)

    def load(self, values: Values) -> dict[str, Any]:
        """Return whether the exchange is to be enabled."""
        return {"is_enabled": values["status"] == ENABLED}

    def read(self, row: Exchange, _: str) -> str:
        """Return the status."""
        return ENABLED if row.is_enabled else DISABLED

    def key(self, row: Exchange) -> str:
        """Return the slug."""
        return row.slug

    def list_rows(self, filters: Mapping[str, Any]) -> Page[Exchange]:
        """Return the first rows that match the filters."""
        return queries.list_exchanges(filters, MAX_ROWS)

    def find(self, keys: Sequence[str]) -> Sequence[Exchange]:
        """Return the exchanges, by name."""
        return service.find_exchanges(keys)

    def name(self, row: Exchange) -> str:
        """Return the name."""
        return row.name

    def link(self, row: Exchange) -> Mapping[str, Any]:
        """Return the page of the exchange."""
        return {"endpoint": "admin.exchanges.show", "exchange": row.slug}

    def check(self, row: Exchange, changed: Mapping[str, Any], actor: Actor) -> None:
        """Raise nothing: every exchange can be enabled and disabled."""

    def change(self, row: Exchange, changed: Mapping[str, Any], version: int, actor: Actor) -> None:
        """Enable or disable the exchange."""
        service.update_exchange(row.slug, ExchangeChanges(**changed), actor, version=version)
