"""Add, change, verify and revoke exchange API keys.

A key is probed between two units of work: `prepare_…` checks what can be checked and returns a
`ProbeRequest`, and the function that stores the result checks again.
"""

from uuid import UUID

from sqlalchemy import select

from pipelabs.audit.changes import change_facts
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.commands import differing, set_fields
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.exchanges import registry
from pipelabs.exchanges import service as exchanges
from pipelabs.models import ExchangeAPIKey, KeyStage
from pipelabs.models.api_keys import end_of_day
from pipelabs.vault.commands import KeyChanges, NewKey
from pipelabs.vault.examination import (
    ProbeRequest,
    ProbeResult,
    apply_result,
    reject_malformed,
    reject_unusable,
)
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

TAKEN = "This client already has a key with this label at this exchange. Replace that key instead."
SHARED = "The label can't be changed while a replacement or a previous key exists."
CHANGED = "The key was replaced or destroyed while it was being checked with its exchange."


def prepare_key(new: NewKey) -> ProbeRequest:
    """Check that a new key may be added, and return what to probe.

    Raise `InvalidInput` for a disabled exchange, a missing client or a testnet that the exchange
    does not have, `InvalidTransition` for an offboarded client, and `Duplicate`, which names the
    key that has the label.
    """
    vault()
    exchange = _check_new(new)
    reject_malformed(exchange, new.credentials)
    return ProbeRequest(exchange=exchange, credentials=new.credentials, is_testnet=new.is_testnet)


def add_key(new: NewKey, result: ProbeResult, actor: Actor) -> ExchangeAPIKey:
    """Add a probed key.

    Raise `CanWithdraw`, or `InvalidInput` for a key that the exchange does not accept. Raise as
    `prepare_key` if something has changed since.
    """
    reject_unusable(new.exchange, result)
    exchange = _check_new(new)
    key = ExchangeAPIKey(
        client_id=new.client_id, exchange=exchange, label=new.label, is_testnet=new.is_testnet
    )
    store_key(key, new, result)
    record(Event.API_KEY_CREATED, key, actor, result_facts(key))
    return key


def update_key(
    key_id: UUID, changes: KeyChanges, actor: Actor, *, version: int | None = None
) -> ExchangeAPIKey:
    """Change the label, the IP note or the expiry of a key.

    Raise `Stale` if `version` is not the stored one, `Duplicate` for another key's label, and
    `InvalidTransition` for a new label while other keys have the old one.
    """
    key = lock_key(key_id, actor, version)
    changed = differing(key, set_fields(changes))
    if key.expires_on and changed.get("expires_at") == end_of_day(key.expires_on):
        # Only a date was sent, but the exchange reported the exact time.
        del changed["expires_at"]
    if not changed:
        return key
    if "label" in changed:
        _reject_shared(key)
        _reject_taken(key.client_id, key.exchange, changed["label"])
    facts = change_facts(key, changed)
    for name, value in changed.items():
        setattr(key, name, value)
    touch(key)
    record(Event.API_KEY_UPDATED, key, actor, facts)
    return key


def prepare_verification(key_id: UUID, *, version: int | None = None) -> ProbeRequest:
    """Decrypt a stored key for a probe.

    Raise `Stale` if `version` is not the stored one, `InvalidTransition` for a destroyed key, and
    `Undecryptable` for one that was altered.
    """
    key = get_key(key_id)
    reject_stale("The key", key.version, version)
    credentials = decrypt_credentials(key)
    return ProbeRequest(
        exchange=key.exchange,
        credentials=credentials,
        is_testnet=key.is_testnet,
        ciphertext=key.ciphertext,
    )


def verify_key(
    key_id: UUID,
    request: ProbeRequest,
    result: ProbeResult,
    actor: Actor,
    *,
    version: int | None = None,
    is_recheck: bool = False,
) -> ExchangeAPIKey:
    """Store the result of probing a stored key.

    `is_recheck` is a check by the clock: if nothing has changed, its event says so.
    A failed probe leaves a working key as it is, unless the exchange no longer knows the key. Raise
    `InvalidTransition` if the key's credentials have changed since the request was prepared, and
    `Stale` if `version` is not the stored one.
    """
    key = lock_key(key_id, actor, version)
    if key.ciphertext != request.ciphertext:
        raise InvalidTransition(CHANGED)
    before = result_facts(key)
    apply_result(key, result)
    touch(key)
    facts = result_facts(key)
    event = Event.API_KEY_VERIFICATION_FAILED if result.failure else Event.API_KEY_VERIFIED
    if is_recheck and facts == before:
        event = Event.API_KEY_RECHECKED
    record(event, key, actor, facts)
    return key


def revoke_key(key_id: UUID, actor: Actor, *, version: int | None = None) -> ExchangeAPIKey:
    """Destroy the credentials of a key immediately; its record stays.

    Raise `Stale` if `version` is not the stored one.
    """
    key = lock_key(key_id, actor, version)
    reject_destroyed(key)
    stage = key.stage
    destroy_credentials(key)
    record(Event.API_KEY_REVOKED, key, actor, {"stage": stage.value})
    return key


def reject_destroyed(key: ExchangeAPIKey) -> None:
    """Raise `InvalidTransition` for a key whose secrets have been destroyed."""
    if key.stage is KeyStage.DESTROYED:
        raise InvalidTransition(GONE)


def revoke_keys_of(client_id: UUID, actor: Actor) -> int:
    """Revoke every key of a client, and return their number."""
    query = select(ExchangeAPIKey.id).where(
        ExchangeAPIKey.client_id == client_id, ExchangeAPIKey.stage != KeyStage.DESTROYED
    )
    key_ids = db.session.scalars(query.order_by(ExchangeAPIKey.id)).all()
    for key_id in key_ids:
        revoke_key(key_id, actor)
    return len(key_ids)


def _check_new(new: NewKey) -> str:
    """Return the exchange of a new key; raise if the key may not be added."""
    exchange = exchanges.get_enabled(new.exchange).slug
    reject_closed_client(new.client_id)
    known = registry.known()[exchange]
    if new.is_testnet and not known.has_testnet:
        sentence = f"{known.name} has no testnet that we support."
        raise InvalidInput(sentence, fields={"is_testnet": [sentence]})
    _reject_taken(new.client_id, exchange, new.label)
    return exchange


def _reject_taken(client_id: UUID, exchange: str, label: str) -> None:
    """Raise `Duplicate` if a live key, or a candidate for a revoked one, has the label."""
    in_use = ExchangeAPIKey.stage.in_([KeyStage.LIVE, KeyStage.CANDIDATE])
    holders = select(ExchangeAPIKey.id).where(in_use, *label_filter(client_id, exchange, label))
    # In descending alphabetical order "live" comes before "candidate".
    if holder := db.session.scalar(holders.order_by(ExchangeAPIKey.stage.desc()).limit(1)):
        raise Duplicate(TAKEN, fields={"label": [TAKEN]}, existing={"label": str(holder)})


def _reject_shared(key: ExchangeAPIKey) -> None:
    """Raise `InvalidTransition` unless the key is live and the only one with its label."""
    not_destroyed = ExchangeAPIKey.stage != KeyStage.DESTROYED
    same_label = label_filter(key.client_id, key.exchange, key.label)
    others = select(ExchangeAPIKey.id).where(
        not_destroyed, *same_label, ExchangeAPIKey.id != key.id
    )
    if key.stage is not KeyStage.LIVE or db.session.scalar(others.limit(1)):
        raise InvalidTransition(SHARED, fields={"label": [SHARED]})
