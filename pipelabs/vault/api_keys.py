"""The rules of exchange API keys: sealed as they come in, judged by what their exchange says."""

from collections.abc import Mapping
from typing import Any, Never
from uuid import UUID

from sqlalchemy import select

from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition
from pipelabs.exchanges import registry
from pipelabs.exchanges import service as exchanges
from pipelabs.models import ExchangeAPIKey, KeyStage, KeyStatus, now
from pipelabs.models.api_keys import last_day
from pipelabs.vault.examination import apply_result, probe_key, reject_unusable, verdict_of
from pipelabs.vault.probe import KeyPermission, Verdict
from pipelabs.vault.records import (
    GONE,
    decrypt_credentials,
    destroy_credentials,
    get_key,
    label_filter,
    lock_key,
    record,
    reject_closed_client,
    result_facts,
    store_key,
    touch,
)
from pipelabs.vault.ring import vault

TAKEN = "This client has a key with this label at this exchange already; replace that one."
SHARED = "Other keys stand by under this label; it can change when it has one key, which is live."


def add_key(data: Mapping[str, Any], actor: Actor) -> ExchangeAPIKey:
    """Add a client's key once its exchange was asked what it may do; `data` is what `KeyIn` loads.

    Raise `CanWithdraw`, or `InvalidInput` for a disabled exchange or a key that the exchange does
    not know: then nothing is stored. `Duplicate` names the key that has the label.
    """
    vault()
    exchange = exchanges.get_enabled(data["exchange"]).slug
    client_id, label = data["client_id"], data["label"]
    reject_closed_client(client_id)
    if data["is_testnet"] and not registry.known()[exchange].has_testnet:
        _reject("is_testnet", f"{registry.known()[exchange].name} has no testnet that we know.")
    _reject_taken(client_id, exchange, label)
    result = probe_key(exchange, data["credentials"], is_testnet=data["is_testnet"])
    reject_unusable(exchange, result)
    exchanges.get_enabled(exchange)
    reject_closed_client(client_id)
    _reject_taken(client_id, exchange, label)
    key = ExchangeAPIKey(
        client_id=client_id, exchange=exchange, label=label, is_testnet=data["is_testnet"]
    )
    store_key(key, data, result)
    record(Event.API_KEY_CREATED, key, actor, result_facts(key))
    return key


def update_key(
    key_id: UUID, data: Mapping[str, Any], actor: Actor, *, version: int | None = None
) -> ExchangeAPIKey:
    """Change what the desk notes of a key; `data` is what `KeyPatch` loads.

    Raise `Stale` if `version` is not the stored one, `Duplicate` for another key's label, and
    `InvalidTransition` for a new label of a key beside which others stand by: they go by the old
    one.
    """
    key = lock_key(key_id, version)
    changed = {name: value for name, value in data.items() if getattr(key, name) != value}
    if key.expires_on and last_day(changed.get("expires_at")) == key.expires_on:
        # A day is all that was sent, and the exchange knows the minute.
        del changed["expires_at"]
    if not changed:
        return key
    if "label" in changed:
        _reject_shared(key)
        _reject_taken(key.client_id, key.exchange, changed["label"])
    facts = {"changed": ",".join(changed)}
    for name, value in changed.items():
        facts |= {f"from_{name}": str(getattr(key, name) or ""), f"to_{name}": str(value or "")}
        setattr(key, name, value)
    touch(key)
    record(Event.API_KEY_UPDATED, key, actor, facts)
    return key


def verify_key(key_id: UUID, actor: Actor) -> ExchangeAPIKey:
    """Ask the exchange anew what a stored key may do, and record the result.

    A verification that fails replaces nothing: the key stays as it is, unless the exchange no
    longer knows it. Raise `InvalidTransition` for a destroyed key, or for one that changed
    meanwhile.
    """
    key = get_key(key_id)
    credentials, before = decrypt_credentials(key), key.credentials
    exchange, is_testnet = key.exchange, key.is_testnet
    result = probe_key(exchange, credentials, is_testnet=is_testnet)
    key = lock_key(key_id)
    if not before or not key.credentials or key.credentials.ciphertext != before.ciphertext:
        raise InvalidTransition("The key was replaced or destroyed while its exchange was asked.")
    apply_result(key, result)
    touch(key)
    event = Event.API_KEY_VERIFICATION_FAILED if result.failure else Event.API_KEY_VERIFIED
    record(event, key, actor, result_facts(key))
    return key


def accept_key(key_id: UUID, reason: str, actor: Actor) -> ExchangeAPIKey:
    """Let a quarantined key be traded with, at the risk of whoever says why.

    Raise `InvalidTransition` unless nobody knows whether it can withdraw: what can is never taken.
    """
    key = lock_key(key_id)
    if key.status is not KeyStatus.QUARANTINED:
        raise InvalidTransition(f"A key that is {key.status} needs no acceptance.")
    if verdict_of(key.permissions, KeyPermission.WITHDRAW) is Verdict.YES:
        raise InvalidTransition("This key can withdraw; nobody can accept that.")
    key.status = KeyStatus.VERIFIED
    key.accepted_at, key.accepted_by, key.accepted_reason = now(), actor.name, reason
    touch(key)
    record(Event.API_KEY_ACCEPTED, key, actor, {"reason": reason, "withdraw": "unknown"})
    return key


def revoke_key(key_id: UUID, actor: Actor) -> ExchangeAPIKey:
    """Destroy the secrets of a key at once; what is known of it stays."""
    key = lock_key(key_id)
    if key.stage is KeyStage.DESTROYED:
        raise InvalidTransition(GONE)
    was = key.stage
    destroy_credentials(key)
    key.status = KeyStatus.REVOKED
    record(Event.API_KEY_REVOKED, key, actor, {"stage": was.value})
    return key


def _reject_taken(client_id: UUID, exchange: str, label: str) -> None:
    """Raise `Duplicate` if a key is live under the label, or waits for a revoked one's place."""
    in_use = ExchangeAPIKey.stage.in_([KeyStage.LIVE, KeyStage.CANDIDATE])
    holders = select(ExchangeAPIKey.id).where(in_use, *label_filter(client_id, exchange, label))
    # By the alphabet: the live one before the one that waits.
    if holder := db.session.scalar(holders.order_by(ExchangeAPIKey.stage.desc()).limit(1)):
        raise Duplicate(TAKEN, fields={"label": [TAKEN]}, existing={"label": str(holder)})


def _reject_shared(key: ExchangeAPIKey) -> None:
    """Raise `InvalidTransition` unless the key is live and alone under its label."""
    there = ExchangeAPIKey.stage != KeyStage.DESTROYED
    own = label_filter(key.client_id, key.exchange, key.label)
    others = select(ExchangeAPIKey.id).where(there, *own, ExchangeAPIKey.id != key.id)
    if key.stage is not KeyStage.LIVE or db.session.scalar(others.limit(1)):
        raise InvalidTransition(SHARED, fields={"label": [SHARED]})


def _reject(field: str, sentence: str) -> Never:
    raise InvalidInput(sentence, fields={field: [sentence]})
