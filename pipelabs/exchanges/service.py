"""The rules of exchanges: facts come from the registry, what is done there is ours."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from sqlalchemy import Boolean, Table, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.exchanges import registry
from pipelabs.exchanges.registry import KnownExchange
from pipelabs.models import Exchange, now

TABLE = cast(Table, Exchange.__table__)
FACTS = (
    "name",
    "kind",
    "website",
    "docs_url",
    "symbol_style",
    "credentials",
    "aliases",
    "has_testnet",
)
"""The columns that say what the registry says; the rest is set by hand."""
NONE = "There is no such exchange."


class Seeded(NamedTuple):
    """How many exchanges were new, not as the registry has them, and right already."""

    added: int
    updated: int
    unchanged: int


def ensure_exchanges(actor: Actor) -> Seeded:
    """Bring the facts of every exchange of the registry into the table, and delete nothing.

    Whether one is enabled and how it is configured stays as it is, and so does its version.
    """
    rows = [_row(one) for one in sorted(registry.known().values(), key=lambda one: one.slug)]
    new = insert(TABLE).values(rows)
    upsert = new.on_conflict_do_update(
        index_elements=[TABLE.c.slug],
        set_={name: new.excluded[name] for name in (*FACTS, "updated_at")},
        where=or_(*(TABLE.c[name].is_distinct_from(new.excluded[name]) for name in FACTS)),
    )
    # A row that no transaction has ever replaced was inserted by this one.
    was_added = literal_column("xmax = 0", Boolean())
    added = db.session.scalars(upsert.returning(was_added)).all()
    seeded = Seeded(sum(added), len(added) - sum(added), len(rows) - len(added))
    if added:
        facts = {"added": str(seeded.added), "updated": str(seeded.updated)}
        trail.record(Event.EXCHANGE_SEEDED, actor, facts=facts)
    return seeded


def get_exchange(name: str) -> Exchange:
    """Return the exchange with this slug or alias, or raise `NotFound`."""
    if found := _find(name):
        return found
    raise NotFound(NONE)


def get_enabled(name: str) -> Exchange:
    """Return the exchange if anything may be added there, or raise `InvalidInput`.

    `name` is a slug or an alias. To be asked before a market or a key is added.
    """
    found = _find(name)
    if found and found.is_enabled:
        return found
    sentence = f"{found.name} is disabled here." if found else NONE
    raise InvalidInput("Invalid input: exchange", fields={"exchange": [sentence]})


def enabled_slugs() -> list[str]:
    """Return the slugs of the exchanges where something may be added, by name."""
    wanted = select(Exchange.slug).where(Exchange.is_enabled)
    return list(db.session.scalars(wanted.order_by(func.lower(Exchange.name), Exchange.slug)))


def update_exchange(
    name: str, data: Mapping[str, Any], actor: Actor, *, version: int | None = None
) -> Exchange:
    """Enable, disable or configure an exchange, and record what was and is.

    `data` is what `ExchangePatch` loads; a `config` replaces the whole of the stored one. What is
    there already leaves no trace. Raise `Stale` if `version` is not the stored one.
    """
    stored = _locked(name, version)
    is_enabled = data.get("is_enabled", stored.is_enabled)
    config = data.get("config", stored.config)
    if (is_enabled, config) == (stored.is_enabled, stored.config):
        return stored
    if is_enabled != stored.is_enabled:
        event = Event.EXCHANGE_ENABLED if is_enabled else Event.EXCHANGE_DISABLED
        trail.record(event, actor, facts={"slug": stored.slug})
    if config != stored.config:
        facts = {"slug": stored.slug, **_changes(stored.config, config)}
        trail.record(Event.EXCHANGE_CONFIGURED, actor, facts=facts)
    stored.is_enabled, stored.config = is_enabled, config
    stored.version, stored.updated_at = stored.version + 1, now()
    # So that a second change in this transaction reads the first.
    db.session.flush()
    return stored


def _find(name: str, *, is_locked: bool = False) -> Exchange | None:
    """Return the exchange; what the registry does not know is not looked up."""
    if not (known := registry.find(name)):
        return None
    return db.session.get(
        Exchange, known.slug, with_for_update=is_locked, populate_existing=is_locked
    )


def _locked(name: str, version: int | None) -> Exchange:
    """Return the exchange, read anew and locked, so of two changes the second sees both."""
    if not (stored := _find(name, is_locked=True)):
        raise NotFound(NONE)
    reject_stale("The exchange", stored.version, version)
    return stored


def _row(known: KnownExchange) -> dict[str, Any]:
    """Return the row of an exchange that is new; of one that is there, the facts alone count."""
    moment = now()
    facts = {name: getattr(known, name) for name in FACTS}
    return facts | {
        "slug": known.slug,
        "credentials": [one.value for one in known.credentials],
        "aliases": list(known.aliases),
        "is_enabled": not known.is_closing,
        "config": {},
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Return what each member that differs was and is; unset is an empty text."""
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    facts = {"changed": ",".join(names)}
    for name in names:
        facts |= {f"from_{name}": str(before.get(name, "")), f"to_{name}": str(after.get(name, ""))}
    return facts
