"""Load exchanges from the registry, and enable, disable or configure them."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, cast

from sqlalchemy import Boolean, Table, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.commands import UNSET, Unset, set_fields
from pipelabs.core.db import db
from pipelabs.core.decimals import plain
from pipelabs.core.errors import InvalidInput, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.exchanges import registry
from pipelabs.exchanges.registry import KnownExchange
from pipelabs.exchanges.schemas import ConfigChanges, ExchangeChanges
from pipelabs.models import Exchange, now

TABLE = cast(Table, Exchange.__table__)
REGISTRY_COLUMNS = (
    "name",
    "kind",
    "website",
    "docs_url",
    "symbol_style",
    "credentials",
    "aliases",
    "has_testnet",
)
"""The columns that the registry sets. The desk sets the others."""
NOT_FOUND = "There is no such exchange."
Config = dict[str, Any]
"""Settings as they are stored: amounts as text, without those that are unset."""


class Seeded(NamedTuple):
    """The number of exchanges that were added, updated from the registry, or up to date."""

    added: int
    updated: int
    unchanged: int


def ensure_exchanges(actor: Actor) -> Seeded:
    """Add the exchanges of the registry, and update their registry columns; delete none.

    Settings, versions and whether an exchange is enabled stay as they are.
    """
    exchanges = sorted(registry.known().values(), key=lambda exchange: exchange.slug)
    rows = [_build_row(exchange) for exchange in exchanges]
    new = insert(TABLE)
    is_outdated = (TABLE.c[name].is_distinct_from(new.excluded[name]) for name in REGISTRY_COLUMNS)
    upsert = new.on_conflict_do_update(
        index_elements=[TABLE.c.slug],
        set_={name: new.excluded[name] for name in (*REGISTRY_COLUMNS, "updated_at")},
        where=or_(*is_outdated),
    )
    # xmax is 0 in a row that this statement inserted, and not in one that it updated.
    was_added = literal_column("xmax = 0", Boolean())
    added = db.session.scalars(upsert.returning(was_added), rows).all()
    seeded = Seeded(sum(added), len(added) - sum(added), len(rows) - len(added))
    if added:
        facts = {"added": str(seeded.added), "updated": str(seeded.updated)}
        trail.record(Event.EXCHANGE_SEEDED, actor, facts=facts)
    return seeded


def get_exchange(name: str) -> Exchange:
    """Return the exchange with this slug or alias, or raise `NotFound`."""
    if exchange := _find_exchange(name):
        return exchange
    raise NotFound(NOT_FOUND)


def get_enabled(name: str) -> Exchange:
    """Return the exchange with this slug or alias if it is enabled, or raise `InvalidInput`.

    Call it before adding a market or a key.
    """
    exchange = _find_exchange(name)
    if exchange and exchange.is_enabled:
        return exchange
    sentence = f"{exchange.name} is disabled." if exchange else NOT_FOUND
    raise InvalidInput("Invalid input: exchange", fields={"exchange": [sentence]})


def find_exchanges(slugs: Collection[str]) -> Sequence[Exchange]:
    """Return the exchanges with these slugs, by name."""
    query = select(Exchange).where(Exchange.slug.in_(slugs))
    return db.session.scalars(query.order_by(func.lower(Exchange.name), Exchange.slug)).all()


def find_slug(name: str) -> str | None:
    """Return the slug of the exchange with this slug or alias, enabled or not."""
    exchange = _find_exchange(name)
    return exchange.slug if exchange else None


def list_enabled_slugs() -> list[str]:
    """Return the slugs of the enabled exchanges, by name."""
    query = select(Exchange.slug).where(Exchange.is_enabled)
    return list(db.session.scalars(query.order_by(func.lower(Exchange.name), Exchange.slug)))


def update_exchange(
    name: str, changes: ExchangeChanges, actor: Actor, *, version: int | None = None
) -> Exchange:
    """Enable, disable or configure an exchange and record the changes, if anything changes.

    `name` is a slug or an alias. Raise `Stale` if `version` is not the stored one.
    """
    stored = _lock_exchange(name, version)
    is_enabled = stored.is_enabled if changes.is_enabled is UNSET else changes.is_enabled
    config = _merge_config(stored.config, changes.config)
    if (is_enabled, config) == (stored.is_enabled, stored.config):
        return stored
    if is_enabled != stored.is_enabled:
        event = Event.EXCHANGE_ENABLED if is_enabled else Event.EXCHANGE_DISABLED
        trail.record(event, actor, facts={"exchange": stored.slug})
    if config != stored.config:
        facts = {"exchange": stored.slug, **_config_facts(stored.config, config)}
        trail.record(Event.EXCHANGE_CONFIGURED, actor, facts=facts)
    stored.is_enabled, stored.config = is_enabled, config
    stored.version, stored.updated_at = stored.version + 1, now()
    # A second change in this transaction reads the row again, so this one is sent first.
    db.session.flush()
    return stored


def _find_exchange(name: str, *, is_locked: bool = False) -> Exchange | None:
    """Return the exchange with this slug or alias in the registry."""
    if not (known := registry.find(name)):
        return None
    return db.session.get(
        Exchange, known.slug, with_for_update=is_locked, populate_existing=is_locked
    )


def _lock_exchange(name: str, version: int | None) -> Exchange:
    """Return the exchange, locked and read again, so that concurrent changes see each other."""
    if not (stored := _find_exchange(name, is_locked=True)):
        raise NotFound(NOT_FOUND)
    reject_stale("The exchange", stored.version, version)
    return stored


def _build_row(known: KnownExchange) -> dict[str, Any]:
    """Return the row of a new exchange; the upsert takes only the registry columns of it."""
    created_at = now()
    facts = {name: getattr(known, name) for name in REGISTRY_COLUMNS}
    return facts | {
        "slug": known.slug,
        "credentials": [credential.value for credential in known.credentials],
        "aliases": list(known.aliases),
        "is_enabled": not known.is_closing,
        "config": {},
        "version": 1,
        "created_at": created_at,
        "updated_at": created_at,
    }


def _merge_config(stored: Config, changes: ConfigChanges | Unset) -> Config:
    if changes is UNSET:
        return stored
    merged = stored | set_fields(changes)
    return {
        name: plain(value) if isinstance(value, Decimal) else value
        for name, value in merged.items()
        if value is not None
    }


def _config_facts(before: Config, after: Config) -> dict[str, str]:
    """Return the old and the new value of each changed setting; an unset one is an empty text."""
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    facts = {"changed": ",".join(names)}
    for name in names:
        facts |= {f"from_{name}": str(before.get(name, "")), f"to_{name}": str(after.get(name, ""))}
    return facts
