"""Change many clients: another tier, or another status."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from pipelabs.audit.events import Event
from pipelabs.bulk.target import MAX_ROWS, Change, Noun, Option, Target, Values, parse_ids
from pipelabs.clients import queries, service
from pipelabs.clients.schemas import ClientChanges, ClientPatch, ClientsQuery, StatusIn
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.pagination import Page
from pipelabs.models import Client, Status, Tier
from pipelabs.vault.queries import count_keys_by_client

OFFBOARDING = "Offboarding can't be undone. It pauses every market of these clients."


class ClientsTarget(Target[Client]):
    """The list of clients."""

    noun = Noun("client", "clients")
    event = Event.CLIENT_BULK_CHANGED
    query = ClientsQuery
    schema = ClientPatch
    undo_fields = ("name", "email", "tier", "notes", "status")
    options = (
        *(Option(field="tier", words="tier", value=tier) for tier in Tier),
        *(
            Option(
                field="status",
                words="status",
                value=status,
                warning=OFFBOARDING if status is Status.OFFBOARDED else "",
                is_danger=status is Status.OFFBOARDED,
            )
            for status in Status
        ),
    )

    def load(self, values: Values) -> dict[str, Any]:
        """Return the values. A status is set alone."""
        if "status" in values:
            return {"status": StatusIn().load(values)["status"]}
        return super().load(values)

    def list_rows(self, filters: Mapping[str, Any]) -> Page[Client]:
        """Return the first rows that match the filters."""
        return queries.list_clients(filters, filters["sort"], MAX_ROWS)

    def find(self, keys: Sequence[str]) -> Sequence[Client]:
        """Return the clients by name."""
        query = select(Client).where(Client.id.in_(parse_ids(keys)))
        return db.session.scalars(query.order_by(queries.NAME_COLUMN, Client.id)).all()

    def lock(self, keys: Sequence[str], _: Sequence[Values]) -> None:
        """Lock every client before the markets of the first one are paused."""
        service.lock_clients(parse_ids(keys))

    def name(self, row: Client) -> str:
        """Return the name of the client."""
        return row.name

    def link(self, row: Client) -> Mapping[str, Any]:
        """Return the page of the client."""
        return {"endpoint": "admin.clients.show", "client_id": row.id}

    def check(self, row: Client, changed: Mapping[str, Any], _: Actor) -> None:
        """Raise what the service raises."""
        service.reject_offboarded(row)
        if status := changed.get("status"):
            service.reject_transition(row, status)

    def notes(self, rows: Sequence[Client], change: Change) -> Mapping[str, str]:
        """Return how many API keys an offboarded client would keep."""
        if change.value != Status.OFFBOARDED:
            return {}
        counts = count_keys_by_client([row.id for row in rows])
        return {
            str(client_id): f"{count:,} API key{'' if count == 1 else 's'} not revoked"
            for client_id, count in counts.items()
        }

    def change(self, row: Client, changed: Mapping[str, Any], version: int, actor: Actor) -> None:
        """Change the client."""
        if status := changed.get("status"):
            service.change_status(row.id, status, actor, version=version)
        else:
            service.update_client(row.id, ClientChanges(**changed), actor, version=version)
