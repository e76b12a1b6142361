"""Lists of exchange API keys: all, expiring soon, of the same account."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, func, literal_column, select

from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import Client, ExchangeAPIKey, KeyStage, KeyStatus, now

EXPIRES_AT = literal_column("exchange_api_keys.expires_at", DateTime(timezone=True))
"""A literal column: the paging library rejects a nullable one, but the filter excludes nulls."""
EQUAL = ("client_id", "exchange", "status", "stage")
"""Filters named after a column, which compare for equality."""


class Holder(NamedTuple):
    """Another client's key to the same account."""

    key_id: UUID
    client_id: UUID
    name: str


def list_keys(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[ExchangeAPIKey]:
    """Return one page of the keys that match every filter in `EQUAL`, newest first.

    Destroyed keys are listed only if the filter asks for that stage, or for revoked keys, whose
    secrets are always destroyed. A key that was altered is not listed under the status that was
    written into its row.
    """
    conditions = [
        getattr(ExchangeAPIKey, name) == filters[name] for name in EQUAL if filters.get(name)
    ]
    is_revoked = filters.get("status") is KeyStatus.REVOKED
    if not filters.get("stage"):
        is_destroyed = ExchangeAPIKey.stage == KeyStage.DESTROYED
        conditions.append(is_destroyed if is_revoked else ~is_destroyed)
    newest = (ExchangeAPIKey.created_at.desc(), ExchangeAPIKey.id.desc())
    page = page_of(select(ExchangeAPIKey).where(*conditions).order_by(*newest), size, cursor)
    status = filters.get("status")
    return replace(page, rows=[key for key in page.rows if status in {None, key.status}])


def count_keys(client_id: UUID) -> int:
    """Return how many keys the client has, not counting destroyed ones."""
    query = select(func.count()).where(
        ExchangeAPIKey.client_id == client_id, ExchangeAPIKey.stage != KeyStage.DESTROYED
    )
    return db.session.scalar(query) or 0


def count_keys_by_client(client_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return client → number of its keys, not counting destroyed ones, if it has any."""
    query = select(ExchangeAPIKey.client_id, func.count()).where(
        ExchangeAPIKey.client_id.in_(client_ids), ExchangeAPIKey.stage != KeyStage.DESTROYED
    )
    rows = db.session.execute(query.group_by(ExchangeAPIKey.client_id))
    return {row[0]: row[1] for row in rows}


def list_expiring(days: int, size: int = 50, cursor: str | None = None) -> Page[ExchangeAPIKey]:
    """Return one page of the keys in use that expire within `days`, soonest first."""
    in_use = ExchangeAPIKey.stage.in_([KeyStage.LIVE, KeyStage.CANDIDATE])
    soon = ExchangeAPIKey.expires_at <= now() + timedelta(days=days)
    query = select(ExchangeAPIKey).where(in_use, soon)
    return page_of(query.order_by(EXPIRES_AT, ExchangeAPIKey.id), size, cursor)


def shared_with(key: ExchangeAPIKey) -> list[Holder]:
    """Return the keys of other clients to the same account, found by fingerprint."""
    rows = db.session.execute(
        select(ExchangeAPIKey.id, Client.id, Client.name)
        .join(Client, Client.id == ExchangeAPIKey.client_id)
        .where(
            ExchangeAPIKey.fingerprint == key.fingerprint,
            ExchangeAPIKey.client_id != key.client_id,
            ExchangeAPIKey.stage != KeyStage.DESTROYED,
        )
        .order_by(Client.name, ExchangeAPIKey.id)
    )
    return [Holder(*row) for row in rows]


def shared_among(keys: Page[ExchangeAPIKey]) -> set[UUID]:
    """Return the ids of the keys on a page whose account has keys of other clients."""
    query = select(ExchangeAPIKey.fingerprint, ExchangeAPIKey.client_id).where(
        ExchangeAPIKey.fingerprint.in_({key.fingerprint for key in keys.rows}),
        ExchangeAPIKey.stage != KeyStage.DESTROYED,
    )
    holders: dict[bytes, set[UUID]] = {}
    for fingerprint, client_id in db.session.execute(query.distinct()):
        holders.setdefault(fingerprint, set()).add(client_id)
    return {key.id for key in keys.rows if holders.get(key.fingerprint, set()) - {key.client_id}}
