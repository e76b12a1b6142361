"""The row of an exchange API key: stored, opened, locked, wiped, and told in the audit trail."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, select

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.wallets import WalletError, recognise
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput, InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.models import Client, ExchangeAPIKey, KeyStage, KeyStatus, Status, now
from pipelabs.models.exchanges import Credential
from pipelabs.vault.envelope import Secret
from pipelabs.vault.examination import ProbeResult, apply_result
from pipelabs.vault.probe import KeyPermission
from pipelabs.vault.ring import fingerprint, vault

NO_CLIENT = "There is no such client."
OFFBOARDED = "An offboarded client gets no API key."
GONE = "The secrets of this key are destroyed; add a new one."
PUBLIC = (
    Credential.API_KEY,
    Credential.WALLET_ADDRESS,
    Credential.LOGIN,
    Credential.UID,
    Credential.ACCOUNT_ID,
)
"""Parts of which four characters may be shown, the one that tells most first."""
MIN_SHOWN_LENGTH = 12
"""Of a shorter API key four characters would be too much to show."""


def get_key(key_id: UUID) -> ExchangeAPIKey:
    """Return the key, or raise `NotFound`."""
    if key := db.session.get(ExchangeAPIKey, key_id):
        return key
    raise NotFound("There is no such API key.")


def decrypt_credentials(key: ExchangeAPIKey) -> dict[str, Secret]:
    """Return the parts of the key in the clear; no answer, page, log or error may have them.

    Raise `InvalidTransition` for a destroyed key and `Undecryptable` for one that was tampered
    with.
    """
    if key.credentials is None:
        raise InvalidTransition(GONE)
    text = vault().decrypt(key.credentials, key.context).text
    return {part: Secret(value) for part, value in json.loads(text).items()}


def store_key(key: ExchangeAPIKey, data: Mapping[str, Any], result: ProbeResult) -> None:
    """Add the new key with its credentials sealed in it, and its probe result."""
    credentials: Mapping[str, Secret] = data["credentials"]
    part = public_part(credentials)
    text = credentials[part or next(iter(credentials))].text
    key.id, key.created_at, key.updated_at = uuid4(), now(), now()
    key.version, key.status, key.stage = 1, KeyStatus.UNVERIFIED, key.stage or KeyStage.LIVE
    key.ip_note, key.expires_at = data["ip_note"], data["expires_at"]
    key.fields = list(credentials)
    key.last_four = text[-4:] if part and len(text) >= MIN_SHOWN_LENGTH else ""
    key.fingerprint = fingerprint(key.exchange, Secret(_one_spelling(part, text)))
    document = json.dumps({part: secret.text for part, secret in credentials.items()})
    key.credentials = vault().encrypt(Secret(document), key.context)
    key.kek_version = key.credentials.kek_version
    apply_result(key, result)
    db.session.add(key)
    db.session.flush()


def _one_spelling(part: str, text: str) -> str:
    """Return a wallet's address in its canonical form, and anything else as it is."""
    if part != Credential.WALLET_ADDRESS:
        return text
    try:
        return recognise(text).address
    except WalletError:
        return text


def public_part(credentials: Mapping[str, Secret]) -> str:
    """Return the part that tells an account and is no secret; none where all of them are."""
    return next((part for part in PUBLIC if part in credentials), "")


def lock_key(key_id: UUID, version: int | None = None) -> ExchangeAPIKey:
    """Return the key as it stands now, locked; raise `NotFound`, or `Stale` for another version.

    Its id stays, so rows that refer to it are checked meanwhile, and wait for nobody.
    """
    wanted = select(ExchangeAPIKey).where(ExchangeAPIKey.id == key_id)
    wanted = wanted.with_for_update(key_share=True, of=ExchangeAPIKey)
    key = db.session.scalar(wanted.execution_options(populate_existing=True))
    if not key:
        raise NotFound("There is no such API key.")
    reject_stale("The key", key.version, version)
    return key


def lock_key_group(key_id: UUID) -> tuple[ExchangeAPIKey, dict[UUID, ExchangeAPIKey]]:
    """Return the key, and by id all of its client's at its exchange that are not destroyed, locked.

    A rotation locks in the order of ids too, so that neither waits for the other in a circle.
    """
    key = get_key(key_id)
    wanted = select(ExchangeAPIKey).where(
        ExchangeAPIKey.client_id == key.client_id,
        ExchangeAPIKey.exchange == key.exchange,
        ExchangeAPIKey.stage != KeyStage.DESTROYED,
    )
    wanted = wanted.order_by(ExchangeAPIKey.id).with_for_update(key_share=True, of=ExchangeAPIKey)
    found = db.session.scalars(wanted, execution_options={"populate_existing": True})
    together = {one.id: one for one in found}
    return together.get(key_id) or lock_key(key_id), together


def label_filter(client_id: UUID, exchange: str, label: str) -> Iterable[ColumnElement[bool]]:
    """Return what is true of each key that the client has there under the label, of any stage."""
    return (
        ExchangeAPIKey.client_id == client_id,
        ExchangeAPIKey.exchange == exchange,
        ExchangeAPIKey.label == label,
    )


def reject_closed_client(client_id: UUID) -> None:
    """Raise unless the client is there and not offboarded; who offboards it now waits for us."""
    wanted = select(Client.status).where(Client.id == client_id).with_for_update(read=True)
    status = db.session.scalar(wanted)
    if status is None:
        raise InvalidInput(NO_CLIENT, fields={"client_id": [NO_CLIENT]})
    if status is Status.OFFBOARDED:
        raise InvalidTransition(OFFBOARDED)


def touch(key: ExchangeAPIKey) -> None:
    """Count a change; two labels that are made equal at once meet at the unique index here."""
    key.version, key.updated_at = key.version + 1, now()
    db.session.flush()


def destroy_credentials(key: ExchangeAPIKey) -> None:
    """Wipe what is sealed; the row stays for the trail and the lists."""
    key.credentials = key.kek_version = key.destroy_at = None
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
    trail.record(happened, actor, client_id=key.client_id, facts=about | dict(facts or {}))


def result_facts(key: ExchangeAPIKey) -> dict[str, str]:
    """Return the facts of an examination."""
    facts = {"status": key.status.value}
    if key.failure:
        facts["failure"] = key.failure
    for permission, found in key.permissions.items():
        if found["evidence"] or permission == KeyPermission.WITHDRAW:
            facts[permission] = f"{found['verdict']} ({found['evidence'] or 'nobody says'})"
    return facts
