"""Revoke many API keys of exchanges."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from pipelabs.audit.events import Event
from pipelabs.bulk.target import MAX_ROWS, Noun, Option, Target, Values, parse_ids
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.pagination import Page
from pipelabs.exchanges import registry
from pipelabs.models import ExchangeAPIKey, KeyStage
from pipelabs.vault import api_keys, queries
from pipelabs.vault.schemas.api_keys import KeysQuery

REVOKING = (
    "Their secrets are destroyed immediately. This can't be undone. Delete the keys at their"
    " exchanges too."
)


class APIKeysTarget(Target[ExchangeAPIKey]):
    """The list of API keys."""

    noun = Noun("API key", "API keys")
    event = Event.API_KEY_BULK_CHANGED
    query = KeysQuery
    undo_fields = ()
    options = (
        Option(
            field="stage",
            words="stage",
            value=KeyStage.DESTROYED,
            verb="Revoke",
            done="revoked",
            warning=REVOKING,
            is_danger=True,
            is_button=True,
        ),
    )

    def load(self, values: Values) -> dict[str, Any]:
        """Return the only value that there is."""
        return dict(values)

    def list_rows(self, filters: Mapping[str, Any]) -> Page[ExchangeAPIKey]:
        """Return the first rows that match the filters."""
        return queries.list_keys(filters, MAX_ROWS)

    def find(self, keys: Sequence[str]) -> Sequence[ExchangeAPIKey]:
        """Return the keys, newest first."""
        query = select(ExchangeAPIKey).where(ExchangeAPIKey.id.in_(parse_ids(keys)))
        return db.session.scalars(query.order_by(ExchangeAPIKey.id.desc())).all()

    def name(self, row: ExchangeAPIKey) -> str:
        """Return the key's last characters, its client, its exchange and its label."""
        return f"{row.masked} of {row.client.name}, {registry.name_of(row.exchange)}, {row.label}"

    def link(self, row: ExchangeAPIKey) -> Mapping[str, Any]:
        """Return the page of the key."""
        return {"endpoint": "admin.api_keys.show", "key_id": row.id}

    def check(self, row: ExchangeAPIKey, _changed: Mapping[str, Any], _: Actor) -> None:
        """Raise what the service raises."""
        api_keys.reject_destroyed(row)

    def change(
        self, row: ExchangeAPIKey, _changed: Mapping[str, Any], version: int, actor: Actor
    ) -> None:
        """Revoke the key."""
        api_keys.revoke_key(row.id, actor, version=version)
