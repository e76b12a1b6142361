"""Whether a machine may lease a key: lock what decides, and judge it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BindParameter,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    false,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased

from pipelabs.core.db import Prepared, run, run_prepared
from pipelabs.core.errors import InvalidInput
from pipelabs.core.pagination import Page, page_of
from pipelabs.machines import grants, stops
from pipelabs.machines.commands import MAX_KEYS
from pipelabs.models import (
    Client,
    Exchange,
    ExchangeAPIKey,
    Grant,
    KeyStage,
    KeyStatus,
    Lease,
    Proof,
    Status,
    now,
)
from pipelabs.vault.signing import COLUMNS, check_row

TOO_MANY = f"The grants of this machine select more than {MAX_KEYS} keys. Name some in key_ids."
OPEN = {Status.ACTIVE, Status.PAUSED}
"""Clients for whom the desk may trade."""
NOT_GRANTED = "not_granted"
DENIALS = {
    NOT_GRANTED: "No grant of this machine selects this key.",
    "stopped": "A stop keeps this key from being used.",
    "exchange_disabled": "The exchange is disabled.",
    "client_closed": "The client is neither active nor paused.",
    "key_not_live": "The key is not live. It was replaced or revoked.",
    "key_not_verified": "The key is not verified.",
    "key_expired": "The key has expired.",
    "examination_too_old": "The key was not examined recently enough. Verify it again.",
    "held_elsewhere": "Another machine holds this key.",
    "undecryptable": "The credentials can't be decrypted.",
}
"""Code of a denial → its sentence."""

IDS: BindParameter[Any] = bindparam("ids", type_=ARRAY(Uuid()))
MACHINE_ID: BindParameter[Any] = bindparam("machine_id", type_=Uuid())
SELECTED = select(
    ExchangeAPIKey.id, ExchangeAPIKey.client_id, ExchangeAPIKey.exchange, ExchangeAPIKey.label
)
FIND_KEYS = Prepared(
    "find_keys_to_lease", SELECTED.where(ExchangeAPIKey.id == any_(IDS)), reads=True
)
LOCK_EXCHANGES = Prepared(
    "lock_exchanges_of_keys",
    select(Exchange.slug, Exchange.is_enabled)
    .where(Exchange.slug == any_(bindparam("slugs", type_=ARRAY(Text()))))
    .order_by(Exchange.slug)
    .with_for_update(read=True),
)
LOCK_CLIENTS = Prepared(
    "lock_clients_of_keys",
    select(Client.id, Client.status, Client.name)
    .where(Client.id == any_(IDS))
    .order_by(Client.id)
    .with_for_update(read=True),
)
LOCK_KEYS = Prepared(
    "lock_keys_to_lease",
    select(*COLUMNS, ExchangeAPIKey.credentials)
    .where(ExchangeAPIKey.id == any_(IDS))
    .order_by(ExchangeAPIKey.id)
    .with_for_update(key_share=True),
)
HOLDERS = (
    select(func.count().label("holders"), func.min(Grant.max_holders).label("allowed"))
    .select_from(Lease)
    .join(Grant, Grant.id == Lease.grant_id)
    .where(
        Lease.key_id == ExchangeAPIKey.id,
        Lease.machine_id != MACHINE_ID,
        Lease.acknowledged_at.is_(None),
        Lease.held_until > bindparam("moment", type_=Lease.held_until.type),
    )
    .lateral("holders")
)
"""A lease that has ended counts until its machine has acknowledged that it dropped the key, or
can't use it any longer without the service."""
EARLIER = aliased(ExchangeAPIKey)
GENERATION = (
    select(func.count())
    .where(
        EARLIER.client_id == ExchangeAPIKey.client_id,
        EARLIER.exchange == ExchangeAPIKey.exchange,
        EARLIER.label == ExchangeAPIKey.label,
        EARLIER.created_at <= ExchangeAPIKey.created_at,
    )
    .correlate(ExchangeAPIKey)
    .scalar_subquery()
)
FIND_FACTS = Prepared(
    "find_facts_of_keys",
    select(
        ExchangeAPIKey.id,
        GENERATION.label("generation"),
        stops.is_stopped(MACHINE_ID).label("is_stopped"),
        HOLDERS.c.holders,
        HOLDERS.c.allowed,
    )
    .join(HOLDERS, true())
    .where(ExchangeAPIKey.id == any_(IDS)),
)


class Situation(NamedTuple):
    """A locked key, and what decides about it besides its row."""

    key: Any
    """A row of `LOCK_KEYS`."""
    grants: Sequence[Any]
    client_name: str
    client_status: Status
    is_enabled: bool
    is_verified: bool
    """Its record too is as this service wrote it."""
    is_stopped: bool
    generation: int
    """How many keys the label has had, this one included."""
    other_holders: int
    allowed_by_others: int
    """How many machines the grants of the other holders allow."""


class KeyDenied(Exception):
    """A key may not be leased."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def lock_situations(machine_id: UUID, key_ids: Sequence[UUID] | None) -> dict[UUID, Situation]:
    """Lock what decides about these keys, or about all that the machine's grants select.

    Keys that no grant selects are left out. Raise `InvalidInput` if the grants select too many. The
    order is the same as of whatever ends leases: stops, grants, exchanges, clients, keys.
    """
    stops.share_lock()
    active = grants.lock_active(machine_id)
    found = _find_keys(active, key_ids)
    if not found:
        return {}
    slugs = {"slugs": sorted({row.exchange for row in found})}
    enabled = {row.slug for row in run_prepared(LOCK_EXCHANGES, slugs) if row.is_enabled}
    client_ids = {"ids": list({row.client_id for row in found})}
    clients = {row.id: row for row in run_prepared(LOCK_CLIENTS, client_ids)}
    ids = [row.id for row in found]
    keys = run_prepared(LOCK_KEYS, {"ids": ids})
    values = {"ids": ids, "machine_id": machine_id, "moment": now()}
    facts = {row.id: row for row in run_prepared(FIND_FACTS, values)}
    situations = {}
    for key in keys:
        # It may have changed since it was found.
        if selecting := [grant for grant in active if grants.selects(grant, key)]:
            situations[key.id] = Situation(
                key=key,
                grants=selecting,
                client_name=clients[key.client_id].name,
                client_status=clients[key.client_id].status,
                is_enabled=key.exchange in enabled,
                is_verified=key.status is KeyStatus.VERIFIED and check_row(key) is Proof.VALID,
                is_stopped=facts[key.id].is_stopped,
                generation=facts[key.id].generation,
                other_holders=facts[key.id].holders,
                allowed_by_others=facts[key.id].allowed or MAX_KEYS,
            )
    return situations


def list_granted(
    machine_id: UUID, size: int = 50, cursor: str | None = None
) -> Page[ExchangeAPIKey]:
    """Return a page of the live keys that the machine's grants select, the newest first."""
    active = map(grants.selected_by, grants.lock_active(machine_id))
    is_granted = and_(or_(false(), *active), ExchangeAPIKey.stage == KeyStage.LIVE)
    order = (ExchangeAPIKey.created_at.desc(), ExchangeAPIKey.id.desc())
    query = select(ExchangeAPIKey).where(is_granted).order_by(*order)
    return page_of(query, size, cursor)


def choose_grant(situation: Situation) -> Any:
    """Return the oldest grant by which the key may be leased; raise `KeyDenied`."""
    codes = [judge(situation, grant) for grant in situation.grants]
    if None in codes:
        return situation.grants[codes.index(None)]
    raise KeyDenied(cast(str, codes[0]))


def judge(situation: Situation, grant: Any) -> str | None:
    """Return the code of why a key may not be leased by a grant, or None if it may."""
    key, moment = situation.key, now()
    oldest = moment - timedelta(seconds=grant.max_examination_age_s)
    allowed = min(grant.max_holders, situation.allowed_by_others)
    reasons = {
        "stopped": situation.is_stopped,
        "exchange_disabled": not situation.is_enabled,
        "client_closed": situation.client_status not in OPEN,
        "key_not_live": key.stage is not KeyStage.LIVE,
        "key_not_verified": not situation.is_verified,
        "key_expired": key.expires_at is not None and key.expires_at <= moment,
        "examination_too_old": key.examined_at is None or key.examined_at < oldest,
        "held_elsewhere": situation.other_holders >= allowed,
    }
    return next((code for code, applies in reasons.items() if applies), None)


def _find_keys(active: Sequence[Any], key_ids: Sequence[UUID] | None) -> Sequence[Any]:
    """Return the keys that a grant selects: of these, or all that are live."""
    if not active:
        return []
    if key_ids is not None:
        rows = run_prepared(FIND_KEYS, {"ids": key_ids})
        return [row for row in rows if any(grants.selects(grant, row) for grant in active)]
    is_selected = or_(*map(grants.selected_by, active))
    query = SELECTED.where(is_selected, ExchangeAPIKey.stage == KeyStage.LIVE)
    found = run(query.limit(MAX_KEYS + 1), {}).all()
    if len(found) > MAX_KEYS:
        raise InvalidInput(TOO_MANY, fields={"key_ids": [TOO_MANY]})
    return found
