"""Replace a key: add a candidate, cut over to it, roll back, destroy what was superseded."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select

from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition
from pipelabs.core.job_queue import Job, enqueue
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.exchanges import registry
from pipelabs.models import ExchangeAPIKey, KeyStage, KeyStatus, Lease, now
from pipelabs.models.exchanges import Credential
from pipelabs.vault.commands import NewCredentials
from pipelabs.vault.examination import ProbeRequest, ProbeResult, reject_malformed, reject_unusable
from pipelabs.vault.records import (
    destroy_credentials,
    get_key,
    label_filter,
    lock_key,
    lock_key_group,
    quarantine_altered,
    record,
    reject_closed_client,
    result_facts,
    store_key,
    touch,
)
from pipelabs.vault.ring import vault

CLOSED = "The keys of an offboarded client can only be revoked."
RETENTION = timedelta(hours=24)
"""How long a superseded key can be rolled back to."""
WAITING = "This key already has a replacement. Cut over to it or revoke it first."
NOT_LIVE = "Only a live key can be replaced."
NOT_VERIFIED = "The new key is {status}. Only a verified key can take over."
NOT_WAITING = "This key is not awaiting cut-over."
NO_PREVIOUS = "No previous key to roll back to."
BATCH = 100


def prepare_replacement(
    key_id: UUID, new: NewCredentials, *, version: int | None = None
) -> ProbeRequest:
    """Check that a live key may be replaced, and return what to probe.

    Raise `Stale` if `version` is not the stored one, `InvalidTransition` unless the key is live and
    its client is not offboarded, `Duplicate` if it already has a replacement, and `InvalidInput`
    for credentials that its exchange does not use.
    """
    vault()
    live = get_key(key_id)
    reject_stale("The key", live.version, version)
    _reject_replacing(live)
    reject_closed_client(live.client_id)
    if errors := registry.known()[live.exchange].check_fields(
        set(map(Credential, new.credentials))
    ):
        raise InvalidInput(f"Invalid input: {', '.join(errors)}", fields=errors)
    reject_malformed(live.exchange, new.credentials)
    return ProbeRequest(
        exchange=live.exchange, credentials=new.credentials, is_testnet=live.is_testnet
    )


def add_replacement(
    key_id: UUID,
    new: NewCredentials,
    result: ProbeResult,
    actor: Actor,
    *,
    version: int | None = None,
) -> ExchangeAPIKey:
    """Add the probed candidate for a live key, which keeps working.

    Raise `CanWithdraw`, or `InvalidInput` for a key that the exchange does not accept. Raise as
    `prepare_replacement` if something has changed since.
    """
    live = get_key(key_id)
    reject_unusable(live.exchange, result)
    reject_closed_client(live.client_id)
    live = lock_key(key_id, actor, version)
    _reject_replacing(live)
    candidate = ExchangeAPIKey(
        client_id=live.client_id,
        exchange=live.exchange,
        label=live.label,
        is_testnet=live.is_testnet,
        stage=KeyStage.CANDIDATE,
        replaces_id=live.id,
    )
    store_key(candidate, new, result)
    facts = {"replaces": str(live.id)} | result_facts(candidate)
    record(Event.API_KEY_REPLACEMENT_ADDED, candidate, actor, facts)
    return candidate


def cut_over(candidate_id: UUID, actor: Actor, *, version: int | None = None) -> ExchangeAPIKey:
    """Make a verified candidate the live key; the key it replaces is retained for 24 hours.

    Raise `InvalidTransition` unless the key is a candidate and verified, because a working key is
    never replaced by one that may not work, and for an offboarded client. Raise `Stale` if
    `version` is not the candidate's.
    """
    reject_closed_client(get_key(candidate_id).client_id, CLOSED)
    candidate, group = lock_key_group(candidate_id, actor, version)
    if candidate.stage is not KeyStage.CANDIDATE or not candidate.replaces_id:
        raise InvalidTransition(NOT_WAITING)
    if candidate.status is not KeyStatus.VERIFIED:
        raise InvalidTransition(NOT_VERIFIED.format(status=candidate.status))
    live = group.get(candidate.replaces_id)
    if live and live.stage is KeyStage.LIVE:
        _supersede(live)
    candidate.stage = KeyStage.LIVE
    touch(candidate)
    record(Event.API_KEY_CUT_OVER, candidate, actor, {"replaces": str(candidate.replaces_id)})
    return candidate


def roll_back(live_id: UUID, actor: Actor, *, version: int | None = None) -> ExchangeAPIKey:
    """Make the previous key live again; the newer key is then retained for 24 hours.

    A revoked key can be rolled back too, as long as no other key is live under its label. A
    candidate for the newer key becomes a candidate for the previous one. Raise `InvalidTransition`
    if there is no previous key, if it is destroyed or not verified, and for an offboarded client.
    Raise `Stale` if `version` is not that of the newer key.
    """
    reject_closed_client(get_key(live_id).client_id, CLOSED)
    live, group = lock_key_group(live_id, actor, version)
    previous = group.get(live.replaces_id) if live.replaces_id else None
    if not previous or not _is_retained(previous) or not _can_be_rolled_back(live):
        raise InvalidTransition(NO_PREVIOUS)
    if previous.status is not KeyStatus.VERIFIED:
        raise InvalidTransition(
            f"The previous key is {previous.status}. Only a verified key can be rolled back to."
        )
    live.replaces_id = None
    if live.stage is KeyStage.LIVE:
        _supersede(live)
    else:
        touch(live)
    previous.stage, previous.destroy_at, previous.replaces_id = KeyStage.LIVE, None, live.id
    touch(previous)
    if candidate := candidate_of(live):
        candidate.replaces_id = previous.id
        touch(candidate)
    record(Event.API_KEY_ROLLED_BACK, previous, actor, {"from": str(live.id)})
    return previous


def destroy_due(actor: Actor, key_id: UUID | None = None) -> int:
    """Destroy the secrets of superseded keys whose 24 hours are over, and return their number.

    With `key_id` only this key is looked at. A key that a machine still holds is retained until the
    machine has moved to the new one. Rows that another process has locked are skipped.
    """
    is_held = exists().where(
        Lease.key_id == ExchangeAPIKey.id,
        Lease.acknowledged_at.is_(None),
        Lease.held_until > now(),
    )
    due = select(ExchangeAPIKey).where(*_is_due(key_id), ~is_held)
    due = due.limit(BATCH).with_for_update(key_share=True, skip_locked=True, of=ExchangeAPIKey)
    keys = db.session.scalars(due).all()
    for key in keys:
        quarantine_altered(key, actor)
        destroy_credentials(key)
        record(Event.API_KEY_DESTROYED, key, actor)
    return len(keys)


def is_due(key_id: UUID) -> bool:
    """Return whether the secrets of this key should be destroyed by now."""
    return bool(db.session.scalar(select(exists().where(*_is_due(key_id)))))


def candidate_of(key: ExchangeAPIKey) -> ExchangeAPIKey | None:
    """Return the candidate that will replace this key."""
    return db.session.scalar(
        select(ExchangeAPIKey).where(
            ExchangeAPIKey.replaces_id == key.id, ExchangeAPIKey.stage == KeyStage.CANDIDATE
        )
    )


def predecessor_of(key: ExchangeAPIKey) -> ExchangeAPIKey | None:
    """Return the previous key, if it can be rolled back to."""
    previous = db.session.get(ExchangeAPIKey, key.replaces_id) if key.replaces_id else None
    return previous if previous and _is_retained(previous) and _can_be_rolled_back(key) else None


def _reject_replacing(live: ExchangeAPIKey) -> None:
    if live.stage is not KeyStage.LIVE:
        raise InvalidTransition(NOT_LIVE)
    if candidate := candidate_of(live):
        raise Duplicate(WAITING, fields={"label": [WAITING]}, existing={"label": str(candidate.id)})


def _is_retained(key: ExchangeAPIKey) -> bool:
    """Return whether the key is superseded and its 24 hours are not over."""
    return (
        key.stage is KeyStage.SUPERSEDED and key.destroy_at is not None and key.destroy_at > now()
    )


def _can_be_rolled_back(key: ExchangeAPIKey) -> bool:
    """Return whether the key is live, or was revoked and no key is live in its place."""
    if key.stage is not KeyStage.DESTROYED:
        return key.stage is KeyStage.LIVE
    same_label = label_filter(key.client_id, key.exchange, key.label)
    live = select(ExchangeAPIKey.id).where(*same_label, ExchangeAPIKey.stage == KeyStage.LIVE)
    return db.session.scalar(live) is None


def _is_due(key_id: UUID | None) -> list[ColumnElement[bool]]:
    is_due = [ExchangeAPIKey.stage == KeyStage.SUPERSEDED, ExchangeAPIKey.destroy_at <= now()]
    return is_due if key_id is None else [ExchangeAPIKey.id == key_id, *is_due]


def _supersede(live: ExchangeAPIKey) -> None:
    """Supersede the live key now: the unique index allows one live key for each label."""
    live.stage, live.destroy_at = KeyStage.SUPERSEDED, now() + RETENTION
    touch(live)
    enqueue(Job.DESTROY_SECRETS, at=live.destroy_at, key_id=live.id)
