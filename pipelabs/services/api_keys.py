"""The rules of exchange API keys: sealed as they come in, judged by what their exchange says."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select

from pipelabs import audit, registry
from pipelabs.audit import Actor, Event
from pipelabs.crypto import fingerprint, vault
from pipelabs.errors import Duplicate, Fields, IllegalMove, InvalidInput, NotFound, Stale
from pipelabs.extensions import db
from pipelabs.models import (
    Client,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    Status,
    now,
)
from pipelabs.registry import Credential
from pipelabs.sealing import Secret
from pipelabs.services import exchanges
from pipelabs.services.api_key_rights import Said, ask, note, refuse_unfit, verdict_of
from pipelabs.xray import Right, Verdict

NO_CLIENT = "There is no such client."
OFFBOARDED = "An offboarded client gets no API key."
TAKEN = "This client has a key with this label at this exchange already; replace that one."
GONE = "The secrets of this key are destroyed; add a new one."
SHORTEST_SHOWN = 12
"""Of a shorter API key four characters would be too much to show."""


def add_key(data: Mapping[str, Any], actor: Actor) -> ExchangeAPIKey:
    """Add a client's key once its exchange was asked what it may do; `data` is what `KeyIn` loads.

    Raise `CanWithdraw`, or `InvalidInput` for a disabled exchange or a key that the exchange does
    not know: then nothing is stored. `Duplicate` names the key that has the label.
    """
    vault()
    exchange = exchanges.get_enabled(data["exchange"]).slug
    client_id, label = data["client_id"], data["label"]
    _refuse_client(client_id)
    if data["is_testnet"] and not registry.known()[exchange].has_testnet:
        _refuse("is_testnet", f"{registry.known()[exchange].name} has no testnet that we know.")
    _refuse_taken(client_id, exchange, label)
    said = ask(exchange, data["credentials"], is_testnet=data["is_testnet"])
    refuse_unfit(exchange, said)
    _refuse_client(client_id)
    key = ExchangeAPIKey(
        client_id=client_id, exchange=exchange, label=label, is_testnet=data["is_testnet"]
    )
    store(key, data, said)
    record(Event.API_KEY_CREATED, key, actor, what_was_said(key))
    return key


def get_key(key_id: UUID) -> ExchangeAPIKey:
    """Return the key, or raise `NotFound`."""
    if key := db.session.get(ExchangeAPIKey, key_id):
        return key
    raise NotFound("There is no such API key.")


def update_key(
    key_id: UUID, data: Mapping[str, Any], actor: Actor, *, version: int | None = None
) -> ExchangeAPIKey:
    """Change what the desk notes of a key; `data` is what `KeyPatch` loads.

    Raise `Stale` if `version` is not the stored one, and `Duplicate` for another key's label.
    """
    key = locked(key_id, version)
    changed = {name: value for name, value in data.items() if getattr(key, name) != value}
    if not changed:
        return key
    if "label" in changed and key.stage is KeyStage.LIVE:
        _refuse_taken(key.client_id, key.exchange, changed["label"])
    facts = {"changed": ",".join(changed)}
    for name, value in changed.items():
        facts |= {f"from_{name}": str(getattr(key, name) or ""), f"to_{name}": str(value or "")}
        setattr(key, name, value)
    touch(key)
    record(Event.API_KEY_UPDATED, key, actor, facts)
    return key


def verify_key(key_id: UUID, actor: Actor) -> ExchangeAPIKey:
    """Ask the exchange anew what a stored key may do, and record what it said.

    A verification that fails replaces nothing: the key stays as it is, unless the exchange no
    longer knows it. Raise `IllegalMove` for a destroyed key, or for one that changed meanwhile.
    """
    key = get_key(key_id)
    credentials, before = opened(key), key.credentials
    exchange, is_testnet = key.exchange, key.is_testnet
    said = ask(exchange, credentials, is_testnet=is_testnet)
    key = locked(key_id)
    if not before or not key.credentials or key.credentials.ciphertext != before.ciphertext:
        raise IllegalMove("The key was replaced or destroyed while its exchange was asked.")
    note(key, said)
    touch(key)
    event = Event.API_KEY_VERIFICATION_FAILED if said.failure else Event.API_KEY_VERIFIED
    record(event, key, actor, what_was_said(key))
    return key


def accept_key(key_id: UUID, reason: str, actor: Actor) -> ExchangeAPIKey:
    """Let a quarantined key be traded with, at the risk of whoever says why.

    Raise `IllegalMove` unless nobody knows whether it can withdraw: what can is never taken.
    """
    key = locked(key_id)
    if key.status is not KeyStatus.QUARANTINED:
        raise IllegalMove(f"A key that is {key.status} needs no acceptance.")
    if verdict_of(key.rights, Right.WITHDRAW) is Verdict.YES:
        raise IllegalMove("This key can withdraw; nobody can accept that.")
    key.status = KeyStatus.VERIFIED
    key.accepted_at, key.accepted_by, key.accepted_reason = now(), actor.name, reason
    touch(key)
    record(Event.API_KEY_ACCEPTED, key, actor, {"reason": reason, "withdraw": "unknown"})
    return key


def revoke_key(key_id: UUID, actor: Actor) -> ExchangeAPIKey:
    """Destroy the secrets of a key at once; what is known of it stays."""
    key = locked(key_id)
    if key.stage is KeyStage.DESTROYED:
        raise IllegalMove(GONE)
    was = key.stage
    destroy(key)
    key.status = KeyStatus.REVOKED
    record(Event.API_KEY_REVOKED, key, actor, {"stage": was.value})
    return key


def opened(key: ExchangeAPIKey) -> dict[str, Secret]:
    """Return the parts of the key in the clear; no answer, page, log or error may have them.

    Raise `IllegalMove` for a destroyed key and `Undecryptable` for one that was tampered with.
    """
    if key.credentials is None:
        raise IllegalMove(GONE)
    text = vault().reveal(key.credentials, key.binding).text
    return {part: Secret(value) for part, value in json.loads(text).items()}


def store(key: ExchangeAPIKey, data: Mapping[str, Any], said: Said) -> None:
    """Add the new key with its credentials sealed in it, and what its exchange said."""
    credentials: Mapping[str, Secret] = data["credentials"]
    text = credentials[public_part(credentials)].text
    key.id, key.created_at, key.updated_at = uuid4(), now(), now()
    key.version, key.status, key.stage = 1, KeyStatus.UNVERIFIED, key.stage or KeyStage.LIVE
    key.ip_note, key.expires_at = data["ip_note"], data["expires_at"]
    key.fields = list(credentials)
    key.last_four = text[-4:] if len(text) >= SHORTEST_SHOWN else ""
    key.fingerprint = fingerprint(key.exchange, Secret(text))
    document = json.dumps({part: secret.text for part, secret in credentials.items()})
    key.credentials = vault().seal(Secret(document), key.binding)
    key.key_version = key.credentials.key_version
    note(key, said)
    db.session.add(key)
    db.session.flush()


def public_part(credentials: Mapping[str, Secret]) -> str:
    """Return the part that tells an account: the API key, or where there is none, its like."""
    order = (Credential.API_KEY, Credential.WALLET_ADDRESS, Credential.LOGIN, Credential.UID)
    return next((part for part in order if part in credentials), next(iter(credentials)))


def locked(key_id: UUID, version: int | None = None) -> ExchangeAPIKey:
    """Return the key as it stands now, locked; raise `NotFound`, or `Stale` for another version."""
    wanted = select(ExchangeAPIKey).where(ExchangeAPIKey.id == key_id)
    wanted = wanted.with_for_update(of=ExchangeAPIKey)
    key = db.session.scalar(wanted.execution_options(populate_existing=True))
    if not key:
        raise NotFound("There is no such API key.")
    if version not in (None, key.version):
        sentence = f"The key has changed: it is at version {key.version}, not {version}."
        raise Stale(sentence, facts={"version": str(version), "stored": str(key.version)})
    return key


def touch(key: ExchangeAPIKey) -> None:
    """Count a change; two labels that are made equal at once meet at the unique index here."""
    key.version, key.updated_at = key.version + 1, now()
    db.session.flush()


def destroy(key: ExchangeAPIKey) -> None:
    """Wipe what is sealed; the row stays for the trail and the lists."""
    key.credentials = key.key_version = key.destroy_at = None
    key.stage = KeyStage.DESTROYED
    touch(key)


def record(
    happened: Event, key: ExchangeAPIKey, actor: Actor, facts: Mapping[str, str] | None = None
) -> None:
    """Record what was done to a key: which it is, and nothing that is secret."""
    about = {
        "key": str(key.id),
        "exchange": key.exchange,
        "label": key.label,
        "api_key": key.masked,
    }
    audit.record(happened, actor, client_id=key.client_id, facts=about | dict(facts or {}))


def what_was_said(key: ExchangeAPIKey) -> dict[str, str]:
    """Return the facts of an examination."""
    facts = {"status": key.status.value}
    if key.failure:
        facts["failure"] = key.failure
    for right, found in key.rights.items():
        if found["evidence"] or right == Right.WITHDRAW:
            facts[right] = f"{found['verdict']} ({found['evidence'] or 'nobody says'})"
    return facts


def _refuse_client(client_id: UUID) -> None:
    status = db.session.scalar(select(Client.status).where(Client.id == client_id))
    if status is None:
        _refuse("client_id", NO_CLIENT)
    if status is Status.OFFBOARDED:
        raise IllegalMove(OFFBOARDED)


def _refuse_taken(client_id: UUID, exchange: str, label: str) -> None:
    holder = db.session.scalar(
        select(ExchangeAPIKey.id).where(
            ExchangeAPIKey.client_id == client_id,
            ExchangeAPIKey.exchange == exchange,
            ExchangeAPIKey.label == label,
            ExchangeAPIKey.stage == KeyStage.LIVE,
        )
    )
    if holder:
        raise Duplicate(TAKEN, fields={"label": [TAKEN]}, existing={"label": str(holder)})


def _refuse(field: str, sentence: str) -> None:
    wrong: Fields = {field: [sentence]}
    raise InvalidInput(sentence, fields=wrong)
