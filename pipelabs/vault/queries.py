"""Lists of exchange API keys: all, those that expire soon, those that open one account."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, func, literal_column, select

from pipelabs.core.db import db
from pipelabs.core.pagination import Page, page_of
from pipelabs.models import AuditEvent, Client, ExchangeAPIKey, KeyStage, now

EXPIRES_AT = literal_column("exchange_api_keys.expires_at", DateTime(timezone=True))
"""The column as text, because a list's order does not know that the filter leaves no null in it."""
EQUAL = ("client_id", "exchange", "status", "stage")
"""Filters that are a column's name and ask for its value."""


class Holder(NamedTuple):
    """Another client's key to the same account."""

    key_id: UUID
    client_id: UUID
    name: str


def list_keys(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[ExchangeAPIKey]:
    """Return one page of the keys that fit every filter of `EQUAL`, the newest first.

    Destroyed ones are there only for who asks for that stage.
    """
    wanted = [getattr(ExchangeAPIKey, name) == filters[name] for name in EQUAL if filters.get(name)]
    if not filters.get("stage"):
        wanted.append(ExchangeAPIKey.stage != KeyStage.DESTROYED)
    newest = (ExchangeAPIKey.created_at.desc(), ExchangeAPIKey.id.desc())
    return page_of(select(ExchangeAPIKey).where(*wanted).order_by(*newest), size, cursor)


def count_keys(client_id: UUID) -> int:
    """Return how many keys the client has, without those destroyed."""
    mine = ExchangeAPIKey.client_id == client_id
    wanted = select(func.count()).where(mine, ExchangeAPIKey.stage != KeyStage.DESTROYED)
    return db.session.scalar(wanted) or 0


def list_expiring(days: int, size: int = 50, cursor: str | None = None) -> Page[ExchangeAPIKey]:
    """Return one page of the keys in use that expire within so many days, soonest first."""
    in_use = ExchangeAPIKey.stage.in_([KeyStage.LIVE, KeyStage.CANDIDATE])
    soon = ExchangeAPIKey.expires_at <= now() + timedelta(days=days)
    wanted = select(ExchangeAPIKey).where(in_use, soon)
    return page_of(wanted.order_by(EXPIRES_AT, ExchangeAPIKey.id), size, cursor)


def shared_with(key: ExchangeAPIKey) -> list[Holder]:
    """Return the other clients whose keys open the same account; nothing is decrypted for it."""
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
    """Return the ids of those keys on a page whose account another client has too."""
    other = select(ExchangeAPIKey.fingerprint, ExchangeAPIKey.client_id).where(
        ExchangeAPIKey.fingerprint.in_({key.fingerprint for key in keys.rows}),
        ExchangeAPIKey.stage != KeyStage.DESTROYED,
    )
    holders: dict[bytes, set[UUID]] = {}
    for mark, client_id in db.session.execute(other.distinct()):
        holders.setdefault(mark, set()).add(client_id)
    return {key.id for key in keys.rows if holders.get(key.fingerprint, set()) - {key.client_id}}


def events_of(key: ExchangeAPIKey, limit: int) -> Sequence[AuditEvent]:
    """Return what happened to the key, newest first."""
    about = AuditEvent.details["key"].astext == str(key.id)
    wanted = select(AuditEvent).where(AuditEvent.client_id == key.client_id, about)
    return db.session.scalars(wanted.order_by(AuditEvent.id.desc()).limit(limit)).all()
