"""Rows of exchange API keys: store, lock, decrypt, destroy and audit them."""

import json
from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm.attributes import flag_modified

from pipelabs.audit import subjects, trail
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind, Place
from pipelabs.clients.wallets import WalletError, recognise
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput, InvalidTransition, NotFound
from pipelabs.core.optimistic_lock import reject_stale
from pipelabs.models import (
    Client,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    Proof,
    Status,
    new_id,
    now,
)
from pipelabs.models.exchanges import Credential
from pipelabs.vault.commands import NewCredentials
from pipelabs.vault.envelope import Secret
from pipelabs.vault.examination import ProbeResult, apply_result
from pipelabs.vault.probe import KeyPermission
from pipelabs.vault.ring import fingerprint, vault
from pipelabs.vault.signing import DISTRUSTED

NO_CLIENT = "There is no such client."
OFFBOARDED = "API keys can't be added to an offboarded client."
GONE = "The secrets of this key have been destroyed. Add a new key."
PUBLIC = (
    Credential.API_KEY,
    Credential.WALLET_ADDRESS,
    Credential.LOGIN,
    Credential.UID,
    Credential.ACCOUNT_ID,
)
"""Credentials whose last four characters may be shown, the most specific first."""
MIN_SHOWN_LENGTH = 12
"""Four characters of a shorter API key would reveal too much of it."""


def get_key(key_id: UUID) -> ExchangeAPIKey:
    """Return the key, or raise `NotFound`."""
    if key := db.session.get(ExchangeAPIKey, key_id):
        return key
    raise NotFound("There is no such API key.")


def decrypt_credentials(key: ExchangeAPIKey) -> dict[str, Secret]:
    """Return the credentials in plain text; no response, page, log or error may contain them.

    Raise `InvalidTransition` for a destroyed key and `Undecryptable` for one that was altered.
    """
    if key.credentials is None:
        raise InvalidTransition(GONE)
    text = vault().decrypt(key.credentials, key.context).text
    return {name: Secret(value) for name, value in json.loads(text).items()}


def store_key(key: ExchangeAPIKey, new: NewCredentials, result: ProbeResult) -> None:
    """Insert the key with its encrypted credentials and its probe result."""
    key.id, key.created_at, key.updated_at = new_id(), now(), now()
    key.version, key.status, key.stage = 1, KeyStatus.UNVERIFIED, key.stage or KeyStage.LIVE
    key.ip_note, key.expires_at = new.ip_note, new.expires_at
    encrypt_credentials(key, new.credentials)
    apply_result(key, result)
    db.session.add(key)
    db.session.flush()


def encrypt_credentials(key: ExchangeAPIKey, credentials: Mapping[str, Secret]) -> None:
    """Encrypt the credentials into the row, with what may be known of them: names, last four.

    The row needs its id, client and exchange: the encrypted document is bound to them.
    """
    name = public_credential(credentials)
    text = credentials[name or next(iter(credentials))].text
    key.fields = list(credentials)
    key.last_four = text[-4:] if name and len(text) >= MIN_SHOWN_LENGTH else ""
    key.fingerprint = fingerprint(key.exchange, Secret(_canonical(name, text)))
    document = json.dumps({name: secret.text for name, secret in credentials.items()})
    key.credentials = vault().encrypt(Secret(document), key.context)
    key.kek_version = key.credentials.kek_version


def _canonical(name: str, text: str) -> str:
    """Return a wallet address in its canonical form, and anything else unchanged."""
    if name != Credential.WALLET_ADDRESS:
        return text
    try:
        return recognise(text).address
    except WalletError:
        return text


def public_credential(credentials: Mapping[str, Secret]) -> str:
    """Return the name of a credential that identifies the account and is not secret, if any."""
    return next((name for name in PUBLIC if name in credentials), "")


def lock_key(key_id: UUID, actor: Actor, version: int | None = None) -> ExchangeAPIKey:
    """Lock the key and return its current row; raise `NotFound`, or `Stale` for another version.

    A row that was changed by something else is quarantined. The lock is the weaker one
    (`FOR NO KEY UPDATE`), so inserting rows that refer to the key does not wait for it.
    """
    query = select(ExchangeAPIKey).where(ExchangeAPIKey.id == key_id)
    query = query.with_for_update(key_share=True, of=ExchangeAPIKey)
    key = db.session.scalar(query.execution_options(populate_existing=True))
    if not key:
        raise NotFound("There is no such API key.")
    reject_stale("The key", key.version, version)
    quarantine_altered(key, actor)
    return key


def lock_key_group(
    key_id: UUID, actor: Actor, version: int | None = None
) -> tuple[ExchangeAPIKey, dict[UUID, ExchangeAPIKey]]:
    """Lock the client's keys at the key's exchange, except destroyed ones.

    Return the key, and all that are locked by id. Raise `Stale` if the key has another version. A
    rotation locks in the order of ids too: the consistent lock order prevents deadlocks. Rows that
    were changed outside of this service are quarantined.
    """
    key = get_key(key_id)
    query = select(ExchangeAPIKey).where(
        ExchangeAPIKey.client_id == key.client_id,
        ExchangeAPIKey.exchange == key.exchange,
        ExchangeAPIKey.stage != KeyStage.DESTROYED,
    )
    query = query.order_by(ExchangeAPIKey.id).with_for_update(key_share=True, of=ExchangeAPIKey)
    rows = db.session.scalars(query, execution_options={"populate_existing": True})
    group = {row.id: row for row in rows}
    if key_id not in group:
        return lock_key(key_id, actor, version), group
    reject_stale("The key", group[key_id].version, version)
    for row in group.values():
        quarantine_altered(row, actor)
    return group[key_id], group


def quarantine_altered(key: ExchangeAPIKey, actor: Actor) -> None:
    """Store, sign and record the quarantine of a locked row, if it was changed by something else.

    `vault.signing` has replaced what is not trusted when it loaded the row.
    """
    if key.proof is not Proof.ALTERED:
        return
    for name in ("status", "altered_at", *DISTRUSTED):
        flag_modified(key, name)
    key.proof = Proof.VALID
    touch(key)
    record(Event.API_KEY_ALTERED, key, actor, {"stored_status": key.stored_status.value})


def label_filter(client_id: UUID, exchange: str, label: str) -> Iterable[ColumnElement[bool]]:
    """Return the conditions for the client's keys at the exchange with the label, in any stage."""
    return (
        ExchangeAPIKey.client_id == client_id,
        ExchangeAPIKey.exchange == exchange,
        ExchangeAPIKey.label == label,
    )


def reject_closed_client(client_id: UUID, sentence: str = OFFBOARDED) -> None:
    """Raise if the client does not exist or is offboarded, which `sentence` then says.

    The row is locked, so that it can't be offboarded before this transaction ends.
    """
    query = select(Client.status).where(Client.id == client_id).with_for_update(read=True)
    status = db.session.scalar(query)
    if status is None:
        raise InvalidInput(NO_CLIENT, fields={"client_id": [NO_CLIENT]})
    if status is Status.OFFBOARDED:
        raise InvalidTransition(sentence)


def touch(key: ExchangeAPIKey) -> None:
    """Increment the version and flush; a label that is taken violates the unique index here."""
    key.version, key.updated_at = key.version + 1, now()
    db.session.flush()


def destroy_credentials(key: ExchangeAPIKey) -> None:
    """Delete the encrypted credentials and revoke the key; its row stays."""
    key.credentials = key.kek_version = key.destroy_at = None
    key.stage, key.status = KeyStage.DESTROYED, KeyStatus.REVOKED
    touch(key)


@subjects.register(Kind.API_KEY)
def _find_place(key_id: UUID) -> Place | None:
    query = select(ExchangeAPIKey.client_id, ExchangeAPIKey.exchange)
    row = db.session.execute(query.where(ExchangeAPIKey.id == key_id)).first()
    return Place(*row) if row else None


def record(
    event: Event, key: ExchangeAPIKey, actor: Actor, facts: Mapping[str, str] | None = None
) -> None:
    """Record an event about the key, without anything secret."""
    key_facts = {
        "key": str(key.id),
        "exchange": key.exchange,
        "label": key.label,
        "api_key": key.masked,
    }
    trail.record(event, actor, client_id=key.client_id, facts=key_facts | dict(facts or {}))


def result_facts(key: ExchangeAPIKey) -> dict[str, str]:
    """Return the audit facts of the last probe."""
    facts = {"status": key.status.value}
    if key.failure:
        facts["failure"] = key.failure
    for permission, answer in key.permissions.items():
        if answer["evidence"] or permission == KeyPermission.WITHDRAW:
            facts[permission] = f"{answer['verdict']} ({answer['evidence'] or 'not reported'})"
    return facts
