"""Lease keys to a machine, take them back, and list who held what."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import BindParameter, and_, bindparam, func, or_, select
from sqlalchemy.orm import aliased

from pipelabs.agent import protocol
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import Forbidden, InvalidInput, Undecryptable
from pipelabs.core.pagination import Page, page_of
from pipelabs.machines import grants, stops
from pipelabs.machines.authentication import Caller
from pipelabs.machines.endings import is_live, lease_facts, raise_epoch
from pipelabs.models import (
    Client,
    Exchange,
    ExchangeAPIKey,
    Grant,
    KeyStage,
    KeyStatus,
    Lease,
    LeaseEnd,
    Machine,
    MachineStatus,
    Status,
    WhenAway,
    new_id,
    now,
)
from pipelabs.vault.records import decrypt_credentials
from pipelabs.vault.ring import vault

logger = logging.getLogger("pipelabs")
MAX_KEYS = 200
"""Keys in one call."""
RECORD_INTERVAL = timedelta(hours=1)
"""How often renewals of a lease are recorded."""
TOO_MANY = f"The grants of this machine select more than {MAX_KEYS} keys. Name some in key_ids."
SUSPENDED = "This machine is suspended."
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


IDS: BindParameter[Any] = bindparam("ids", expanding=True)
CURRENT = {"populate_existing": True}
"""Execution options: what another transaction has committed replaces what the session has."""
SELECTED = select(ExchangeAPIKey.id, ExchangeAPIKey.client_id, ExchangeAPIKey.exchange)
LOCK_EXCHANGES = (
    select(Exchange.slug, Exchange.is_enabled)
    .where(Exchange.slug.in_(bindparam("slugs", expanding=True)))
    .order_by(Exchange.slug)
    .with_for_update(read=True)
)
LOCK_CLIENTS = (
    select(Client.id, Client.status)
    .where(Client.id.in_(IDS))
    .order_by(Client.id)
    .with_for_update(read=True)
)
LOCK_KEYS = (
    select(ExchangeAPIKey)
    .where(ExchangeAPIKey.id.in_(IDS))
    .order_by(ExchangeAPIKey.id)
    .with_for_update(key_share=True, of=ExchangeAPIKey)
)
LOCK_LEASES = (
    select(Lease)
    .where(Lease.machine_id == bindparam("machine_id"), Lease.key_id.in_(IDS))
    .order_by(Lease.id)
    .with_for_update()
)
COUNT_HOLDERS = (
    select(Lease.key_id, func.count(), func.min(Grant.max_holders))
    .join(Grant, Grant.id == Lease.grant_id)
    .where(
        Lease.key_id.in_(IDS),
        Lease.machine_id != bindparam("machine_id"),
        Lease.acknowledged_at.is_(None),
        Lease.held_until > bindparam("moment"),
    )
    .group_by(Lease.key_id)
)
"""A lease that has ended counts until its machine has acknowledged that it dropped the key, or
can't use it any longer without the service."""
EARLIER = aliased(ExchangeAPIKey)
COUNT_GENERATIONS = (
    select(ExchangeAPIKey.id, func.count())
    .join(
        EARLIER,
        (EARLIER.client_id == ExchangeAPIKey.client_id)
        & (EARLIER.exchange == ExchangeAPIKey.exchange)
        & (EARLIER.label == ExchangeAPIKey.label)
        & (EARLIER.created_at <= ExchangeAPIKey.created_at),
    )
    .where(ExchangeAPIKey.id.in_(IDS))
    .group_by(ExchangeAPIKey.id)
)


class Locked(NamedTuple):
    """Locked keys by id, the exchanges of theirs that are enabled, and their clients' status."""

    keys: dict[UUID, ExchangeAPIKey]
    enabled: set[str]
    statuses: dict[UUID, Status]


class Leased(NamedTuple):
    """A lease, what its grant says about it, and the credentials sealed to the machine."""

    lease: Lease
    grant: Grant
    sealed: str
    is_new: bool


class KeyDenied(Exception):
    """A key may not be leased."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Answer(NamedTuple):
    """What a machine gets for a key: a lease, or the code of a denial. A key may not exist."""

    key_id: UUID
    key: ExchangeAPIKey | None
    leased: Leased | None = None
    code: str | None = None


class Situation(NamedTuple):
    """What decides about a key, besides its row."""

    grants: Sequence[Grant]
    is_stopped: bool
    is_enabled: bool
    client_status: Status
    other_holders: int
    allowed_by_others: int
    """How many machines the grants of the other holders allow."""


def lease_keys(caller: Caller, key_ids: Sequence[UUID] | None) -> tuple[int, list[Answer]]:
    """Lease keys to a machine: these, or all that its grants select.

    Return the epoch, and an answer for each key. Raise `InvalidInput` if the grants select too many
    and `Forbidden` for a machine that is no longer active. What decides is locked in the same order
    as by whatever ends leases: stops, clients, keys, leases, and the machine last.
    """
    vault()
    machine_id = cast(UUID, caller.actor.machine_id)
    asked = None if key_ids is None else list(dict.fromkeys(key_ids))
    stops.share_lock()
    active = grants.lock_active(machine_id)
    locked = _lock_keys(active, asked)
    keys, situations = locked.keys, _situations(machine_id, active, locked)
    leases, generations = _lock_leases(machine_id, keys), _count_generations(keys)
    _end_expired([(lease, keys[lease.key_id]) for lease in leases.values()], caller.actor)
    answers = []
    for key_id in keys if asked is None else asked:
        if not (key := keys.get(key_id)):
            answers.append(Answer(key_id, None, code=NOT_GRANTED))
            continue
        try:
            leased = _lease(key, situations[key_id], leases.get(key_id), generations, caller)
        except KeyDenied as denied:
            answers.append(Answer(key_id, key, code=denied.code))
        else:
            answers.append(Answer(key_id, key, leased))
    db.session.flush()
    _record_leased(answers, caller.actor)
    return _share_machine(machine_id), answers


def judge(key: ExchangeAPIKey, situation: Situation, grant: Grant) -> str | None:
    """Return the code of why a key may not be leased by a grant, or None if it may."""
    moment = now()
    oldest = moment - timedelta(seconds=grant.max_examination_age_s)
    reasons = {
        "stopped": situation.is_stopped,
        "exchange_disabled": not situation.is_enabled,
        "client_closed": situation.client_status not in OPEN,
        "key_not_live": key.stage is not KeyStage.LIVE,
        "key_not_verified": key.status is not KeyStatus.VERIFIED,
        "key_expired": key.has_expired,
        "examination_too_old": key.examined_at is None or key.examined_at < oldest,
        "held_elsewhere": situation.other_holders
        >= min(grant.max_holders, situation.allowed_by_others),
    }
    return next((code for code, applies in reasons.items() if applies), None)


def acknowledge(machine_id: UUID, lease_ids: Sequence[UUID], actor: Actor) -> int:
    """Record that a machine has dropped leases, and return how many it had not acknowledged yet.

    A live lease ends by that: the machine gives it back, or has moved to the key's replacement.
    """
    query = (
        select(Lease, ExchangeAPIKey)
        .join(ExchangeAPIKey, ExchangeAPIKey.id == Lease.key_id)
        .where(
            Lease.machine_id == machine_id,
            Lease.id.in_(lease_ids),
            Lease.acknowledged_at.is_(None),
        )
        .order_by(Lease.id)
        .with_for_update(of=Lease)
    )
    moment, facts = now(), []
    for lease, key in db.session.execute(query.execution_options(populate_existing=True)):
        if lease.ended_at is None:
            reason = LeaseEnd.SUPERSEDED if lease.superseded_at else LeaseEnd.RETURNED
            lease.ended_at, lease.end_reason = moment, reason
        lease.acknowledged_at = moment
        delay = {"after_ms": str(round((moment - lease.ended_at).total_seconds() * 1000))}
        reason_fact = {"reason": str(lease.end_reason)}
        facts.append((key.client_id, lease_facts(lease, key) | reason_fact | delay))
    if facts:
        db.session.flush()
        trail.record_each(Event.LEASE_ACKNOWLEDGED, actor, facts)
    return len(facts)


def list_held(machine_id: UUID) -> Sequence[Lease]:
    """Return the live leases of a machine."""
    query = select(Lease).where(Lease.machine_id == machine_id, *is_live())
    return db.session.scalars(query.order_by(Lease.granted_at, Lease.id)).all()


def list_silent() -> Sequence[Lease]:
    """Return the leases that have ended and whose machines may still have the keys."""
    query = select(Lease).where(
        Lease.ended_at.is_not(None), Lease.acknowledged_at.is_(None), Lease.held_until > now()
    )
    return db.session.scalars(query.order_by(Lease.ended_at, Lease.id)).all()


def list_leases(
    filters: Mapping[str, Any], size: int = 50, cursor: str | None = None
) -> Page[Lease]:
    """Return a page of leases by `machine_id`, `key_id` and `is_live`, the latest first."""
    names = {"machine_id": Lease.machine_id, "api_key_id": Lease.key_id}
    conditions = [column == filters[name] for name, column in names.items() if filters.get(name)]
    if is_live_filter := filters.get("is_live"):
        live = and_(*is_live())
        conditions.append(live if is_live_filter == "yes" else ~live)
    query = select(Lease).where(*conditions)
    return page_of(query.order_by(Lease.granted_at.desc(), Lease.id.desc()), size, cursor)


def expire_leases(actor: Actor, limit: int = 500) -> int:
    """Record that leases have expired, and return their number. They ended when their time did."""
    query = (
        select(Lease, ExchangeAPIKey)
        .join(ExchangeAPIKey, ExchangeAPIKey.id == Lease.key_id)
        .where(Lease.ended_at.is_(None), Lease.expires_at <= now())
        .limit(limit)
        .with_for_update(of=Lease, skip_locked=True)
    )
    leases = [(lease, key) for lease, key in db.session.execute(query)]
    ended = _end_expired(leases, actor)
    raise_epoch(lease.machine_id for lease, _ in leases)
    return ended


def _end_expired(leases: Iterable[tuple[Lease, ExchangeAPIKey]], actor: Actor) -> int:
    """End those of the leases whose time is over, record them, and return their number."""
    facts, moment = [], now()
    for lease, key in leases:
        if lease.ended_at is None and lease.expires_at <= moment:
            lease.ended_at, lease.end_reason = lease.expires_at, LeaseEnd.EXPIRED
            reason = {"reason": LeaseEnd.EXPIRED.value}
            facts.append((key.client_id, lease_facts(lease, key) | reason))
    if facts:
        db.session.flush()
        trail.record_each(Event.LEASE_ENDED, actor, facts)
    return len(facts)


def _lock_keys(active: Sequence[Grant], key_ids: Sequence[UUID] | None) -> Locked:
    """Lock the keys in question, after their exchanges and clients."""
    if not active:
        return Locked({}, set(), {})
    selected = or_(*map(grants.selected_by, active))
    is_asked = ExchangeAPIKey.stage == KeyStage.LIVE
    if key_ids is not None:
        is_asked = ExchangeAPIKey.id.in_(key_ids)
    condition = and_(selected, is_asked)
    found = db.session.execute(SELECTED.where(condition).limit(MAX_KEYS + 1)).all()
    if len(found) > MAX_KEYS:
        raise InvalidInput(TOO_MANY, fields={"key_ids": [TOO_MANY]})
    slugs = {"slugs": {row.exchange for row in found}}
    enabled = {row.slug for row in db.session.execute(LOCK_EXCHANGES, slugs) if row.is_enabled}
    clients = db.session.execute(LOCK_CLIENTS, {"ids": {row.client_id for row in found}})
    statuses = {row.id: row.status for row in clients}
    keys = db.session.scalars(
        LOCK_KEYS, {"ids": [row.id for row in found]}, execution_options=CURRENT
    )
    return Locked({key.id: key for key in keys}, enabled, statuses)


def _situations(machine_id: UUID, active: Sequence[Grant], locked: Locked) -> dict[UUID, Situation]:
    ids = list(locked.keys)
    stopped = stops.find_stopped(machine_id, ids)
    values = {"ids": ids, "machine_id": machine_id, "moment": now()}
    holders = {row[0]: row[1:] for row in db.session.execute(COUNT_HOLDERS, values)}
    return {
        key.id: Situation(
            grants=[grant for grant in active if grants.selects(grant, key)],
            is_stopped=key.id in stopped,
            is_enabled=key.exchange in locked.enabled,
            client_status=locked.statuses[key.client_id],
            other_holders=holders.get(key.id, (0, MAX_KEYS))[0],
            allowed_by_others=holders.get(key.id, (0, MAX_KEYS))[1],
        )
        for key in locked.keys.values()
    }


def _lock_leases(machine_id: UUID, key_ids: Iterable[UUID]) -> dict[UUID, Lease]:
    values = {"machine_id": machine_id, "ids": list(key_ids)}
    rows = db.session.scalars(LOCK_LEASES, values, execution_options=CURRENT)
    return {lease.key_id: lease for lease in rows}


def _count_generations(key_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return how many keys the label of each key has had until then."""
    rows = db.session.execute(COUNT_GENERATIONS, {"ids": list(key_ids)})
    return {row[0]: row[1] for row in rows}


def _lease(
    key: ExchangeAPIKey,
    situation: Situation,
    lease: Lease | None,
    generations: Mapping[UUID, int],
    caller: Caller,
) -> Leased:
    """Return the lease of a key and its credentials, sealed; raise `KeyDenied`."""
    grant = _choose_grant(key, situation)
    try:
        credentials = decrypt_credentials(key)
    except Undecryptable:
        logger.error("a key can't be decrypted, so it is not leased", extra={"key": str(key.id)})
        raise KeyDenied("undecryptable") from None
    lease, is_new = _extend(lease, grant, key, generations[key.id], caller.jti)
    machine_id = str(grant.machine_id)
    context = protocol.lease_context(str(lease.id), machine_id, str(key.id), lease.generation)
    texts = {name: secret.text for name, secret in credentials.items()}
    return Leased(lease, grant, protocol.seal(texts, caller.sealing_key, context), is_new)


def _choose_grant(key: ExchangeAPIKey, situation: Situation) -> Grant:
    """Return the oldest grant by which the key may be leased; raise `KeyDenied`."""
    codes = [judge(key, situation, grant) for grant in situation.grants]
    if None in codes:
        return situation.grants[codes.index(None)]
    raise KeyDenied(codes[0] if codes and codes[0] else NOT_GRANTED)


def _extend(
    lease: Lease | None, grant: Grant, key: ExchangeAPIKey, generation: int, jti: str
) -> tuple[Lease, bool]:
    """Return the lease with its time extended, and whether a new period has begun."""
    moment = now()
    expires_at = moment + timedelta(seconds=grant.ttl_s)
    if key.expires_at:
        expires_at = min(expires_at, key.expires_at)
    held_until = expires_at
    if grant.when_away is WhenAway.HOLD:
        held_until += timedelta(seconds=grant.hold_s)
    if lease and lease.ended_at is None and lease.expires_at > moment:
        lease.jti, lease.grant_id = jti, grant.id
        lease.expires_at, lease.held_until = expires_at, held_until
        lease.renewals += 1
        # The key may be live again after a roll-back.
        lease.superseded_at = None
        return lease, False
    if lease is None:
        lease = Lease(id=new_id(), machine_id=grant.machine_id, key_id=key.id)
        db.session.add(lease)
    lease.grant_id, lease.generation, lease.jti = grant.id, generation, jti
    lease.granted_at = lease.recorded_at = moment
    lease.expires_at, lease.held_until, lease.renewals = expires_at, held_until, 0
    lease.superseded_at = lease.ended_at = lease.end_reason = lease.acknowledged_at = None
    return lease, True


def _record_leased(answers: Sequence[Answer], actor: Actor) -> None:
    """Record new leases, and the renewal of those that were not recorded for an hour."""
    moment = now()
    due: dict[Event, list[tuple[UUID, Mapping[str, str]]]] = {}
    for _, key, leased, _code in answers:
        if leased is None or key is None:
            continue
        lease, event = leased.lease, Event.LEASE_RENEWED
        if leased.is_new:
            event = Event.LEASE_GRANTED
        elif lease.recorded_at > moment - RECORD_INTERVAL:
            continue
        lease.recorded_at = moment
        due.setdefault(event, []).append((key.client_id, lease_facts(lease, key)))
    db.session.flush()
    for event, facts in due.items():
        trail.record_each(event, actor, facts)


def _share_machine(machine_id: UUID) -> int:
    """Return the epoch of an active machine, whose status can't change in this transaction."""
    query = select(Machine.status, Machine.epoch).where(Machine.id == machine_id)
    status, epoch = db.session.execute(query.with_for_update(read=True)).one()
    if status is MachineStatus.RETIRED:
        raise Forbidden("This machine is retired.", code="machine_retired")
    if status is not MachineStatus.ACTIVE:
        raise Forbidden(SUSPENDED, code="machine_suspended")
    return epoch
