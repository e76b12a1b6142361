"""The life of a label's keys: one waits, is cut over, and what it replaced is kept a day."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition
from pipelabs.exchanges import registry
from pipelabs.models import ExchangeAPIKey, KeyStage, KeyStatus, now
from pipelabs.models.exchanges import Credential
from pipelabs.vault.examination import ask, reject_unusable
from pipelabs.vault.records import (
    destroy,
    get_key,
    labelled,
    locked,
    locked_together,
    record,
    reject_closed_client,
    store,
    touch,
    what_was_said,
)
from pipelabs.vault.ring import vault

RETENTION = timedelta(hours=24)
"""For so long a cut-over can be taken back."""
WAITING = "Another key waits to replace this one already; cut over to it, or revoke it."
NOT_LIVE = "Only a live key is replaced."
DESTROYED_AT_ONCE = 100


def add_replacement(key_id: UUID, data: Mapping[str, Any], actor: Actor) -> ExchangeAPIKey:
    """Add the candidate that is to replace a live key, which works on meanwhile.

    `data` is what `KeyReplacement` loads. The exchange is asked first, as for any new key; raise
    as `add_key` does, `InvalidTransition` unless the key is live, and `Duplicate` if one waits
    already.
    """
    vault()
    live = get_key(key_id)
    _reject_replacing(live)
    client_id, exchange, is_testnet = live.client_id, live.exchange, live.is_testnet
    reject_closed_client(client_id)
    if wrong := registry.known()[exchange].check_fields(set(map(Credential, data["credentials"]))):
        raise InvalidInput(f"Invalid input: {', '.join(wrong)}", fields=wrong)
    said = ask(exchange, data["credentials"], is_testnet=is_testnet)
    reject_unusable(exchange, said)
    reject_closed_client(client_id)
    live = locked(key_id)
    _reject_replacing(live)
    candidate = ExchangeAPIKey(
        client_id=client_id,
        exchange=exchange,
        label=live.label,
        is_testnet=is_testnet,
        stage=KeyStage.CANDIDATE,
        replaces_id=live.id,
    )
    store(candidate, data, said)
    facts = {"replaces": str(live.id)} | what_was_said(candidate)
    record(Event.API_KEY_REPLACEMENT_ADDED, candidate, actor, facts)
    return candidate


def cut_over(candidate_id: UUID, actor: Actor) -> ExchangeAPIKey:
    """Put a verified candidate in the place of the live key, which is kept for a day.

    Raise `InvalidTransition` for what is no candidate, or is not verified: a working key is never
    replaced by one of which nobody knows that it works.
    """
    candidate, together = locked_together(candidate_id)
    if candidate.stage is not KeyStage.CANDIDATE or not candidate.replaces_id:
        raise InvalidTransition("This key waits for no cut-over.")
    if candidate.status is not KeyStatus.VERIFIED:
        raise InvalidTransition(
            f"The new key is {candidate.status}; only a verified one takes over."
        )
    live = together.get(candidate.replaces_id)
    if live and live.stage is KeyStage.LIVE:
        _keep(live)
    candidate.stage = KeyStage.LIVE
    touch(candidate)
    record(Event.API_KEY_CUT_OVER, candidate, actor, {"replaces": str(candidate.replaces_id)})
    return candidate


def roll_back(live_id: UUID, actor: Actor) -> ExchangeAPIKey:
    """Put back the key that a live one has replaced; the newer is kept for a day in its turn.

    A newer one that was revoked gives way too, as long as no other is live under its label.
    A candidate that waited to replace the newer one waits to replace the older from now on.
    Raise `InvalidTransition` if there is none, or if it is destroyed by now.
    """
    live, together = locked_together(live_id)
    older = together.get(live.replaces_id) if live.replaces_id else None
    if not older or not _is_kept(older) or not _gives_way(live):
        raise InvalidTransition("There is no key left to go back to.")
    if older.status is not KeyStatus.VERIFIED:
        raise InvalidTransition(
            f"The key before is {older.status}; only a verified one comes back."
        )
    if live.stage is KeyStage.LIVE:
        _keep(live)
    live.replaces_id = None
    older.stage, older.destroy_at, older.replaces_id = KeyStage.LIVE, None, live.id
    touch(older)
    if waiting := candidate_of(live):
        waiting.replaces_id = older.id
        touch(waiting)
    record(Event.API_KEY_ROLLED_BACK, older, actor, {"from": str(live.id)})
    return older


def destroy_due(actor: Actor) -> int:
    """Destroy the secrets of kept keys whose day is over; return how many there were.

    Rows that another process destroys at this moment are left to it.
    """
    wanted = select(ExchangeAPIKey).where(
        ExchangeAPIKey.stage == KeyStage.SUPERSEDED, ExchangeAPIKey.destroy_at <= now()
    )
    wanted = wanted.limit(DESTROYED_AT_ONCE).with_for_update(
        key_share=True, skip_locked=True, of=ExchangeAPIKey
    )
    due = db.session.scalars(wanted).all()
    for key in due:
        destroy(key)
        key.status = KeyStatus.REVOKED
        record(Event.API_KEY_DESTROYED, key, actor)
    return len(due)


def candidate_of(key: ExchangeAPIKey) -> ExchangeAPIKey | None:
    """Return the key that waits to replace this one."""
    return db.session.scalar(
        select(ExchangeAPIKey).where(
            ExchangeAPIKey.replaces_id == key.id, ExchangeAPIKey.stage == KeyStage.CANDIDATE
        )
    )


def predecessor_of(key: ExchangeAPIKey) -> ExchangeAPIKey | None:
    """Return the kept key that a roll-back would put back."""
    older = db.session.get(ExchangeAPIKey, key.replaces_id) if key.replaces_id else None
    return older if older and _is_kept(older) and _gives_way(key) else None


def _reject_replacing(live: ExchangeAPIKey) -> None:
    if live.stage is not KeyStage.LIVE:
        raise InvalidTransition(NOT_LIVE)
    if waiting := candidate_of(live):
        raise Duplicate(WAITING, fields={"label": [WAITING]}, existing={"label": str(waiting.id)})


def _is_kept(key: ExchangeAPIKey) -> bool:
    """Return whether it can still be brought back, also if nobody has destroyed it yet."""
    return (
        key.stage is KeyStage.SUPERSEDED and key.destroy_at is not None and key.destroy_at > now()
    )


def _gives_way(key: ExchangeAPIKey) -> bool:
    """Return whether it is live, or was revoked and none is live in its place."""
    if key.stage is not KeyStage.DESTROYED:
        return key.stage is KeyStage.LIVE
    own = labelled(key.client_id, key.exchange, key.label)
    live = select(ExchangeAPIKey.id).where(*own, ExchangeAPIKey.stage == KeyStage.LIVE)
    return db.session.scalar(live) is None


def _keep(live: ExchangeAPIKey) -> None:
    """Make room in the unique index of live labels before another key comes in."""
    live.stage, live.destroy_at = KeyStage.SUPERSEDED, now() + RETENTION
    touch(live)
