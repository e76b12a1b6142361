"""Lease keys to a machine, take them back, and list who held what."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import ARRAY, Table, Uuid, and_, any_, bindparam, case, func, literal, null, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.agent import protocol
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import column_arrays, unnest_table
from pipelabs.core.db import Prepared, db, run_prepared
from pipelabs.core.errors import Forbidden, Undecryptable
from pipelabs.core.pagination import Page, page_of
from pipelabs.machines.authentication import Caller
from pipelabs.machines.eligibility import (
    NOT_GRANTED,
    KeyDenied,
    Situation,
    choose_grant,
    lock_situations,
)
from pipelabs.machines.endings import is_live, lease_facts, record_expired, update_leases
from pipelabs.models import (
    Lease,
    LeaseEnd,
    Machine,
    MachineStatus,
    Outcome,
    WhenAway,
    new_id,
    now,
)
from pipelabs.models.envelopes import EncryptionContext
from pipelabs.vault.ring import vault

logger = logging.getLogger("pipelabs")
RECORD_INTERVAL = timedelta(hours=1)
"""How often renewals of a lease are recorded."""
SUSPENDED = "This machine is suspended."


class Period(NamedTuple):
    """A time for which a machine holds a key: the columns of a lease that has not ended."""

    id: UUID
    machine_id: UUID
    key_id: UUID
    grant_id: UUID
    generation: int
    jti: str
    granted_at: datetime
    expires_at: datetime
    held_until: datetime
    renewals: int
    recorded_at: datetime


TABLE = cast(Table, Lease.__table__)
LOCK_LEASES = Prepared(
    "lock_leases",
    select(*(TABLE.c[name] for name in Period._fields), TABLE.c.ended_at)
    .where(
        TABLE.c.machine_id == bindparam("machine_id"),
        TABLE.c.key_id == any_(bindparam("ids", type_=ARRAY(Uuid()))),
    )
    .order_by(TABLE.c.id)
    .with_for_update(),
)
PERIODS = unnest_table("periods", {name: TABLE.c[name].type for name in Period._fields})
ENDING = ("superseded_at", "ended_at", "end_reason", "acknowledged_at")
"""What a new period clears, and a renewal too: the key may be live again after a roll-back."""


def _build_store() -> Any:
    """Return the statement that inserts periods, or replaces those of the same leases."""
    store = insert(TABLE).from_select(
        [*Period._fields, "created_at"],
        select(*PERIODS.c, PERIODS.c.granted_at),
        include_defaults=False,
    )
    changed = {name: store.excluded[name] for name in Period._fields if name != "id"}
    return store.on_conflict_do_update(
        index_elements=[TABLE.c.machine_id, TABLE.c.key_id],
        set_=changed | {name: null() for name in ENDING},
    )


STORE = Prepared("store_leases", _build_store())
SHARE_MACHINE = Prepared(
    "share_machine",
    select(Machine.status, Machine.epoch)
    .where(Machine.id == bindparam("machine_id"))
    .with_for_update(read=True),
)


class Leased(NamedTuple):
    """A lease, what its grant says about it, and the credentials sealed to the machine."""

    period: Period
    grant: Any
    sealed: str


class Answer(NamedTuple):
    """What a machine gets for a key: a lease, or the code of a denial.

    A key that no grant selects has no situation, whether it exists or not.
    """

    key_id: UUID
    situation: Situation | None = None
    leased: Leased | None = None
    code: str | None = None


def lease_keys(caller: Caller, key_ids: Sequence[UUID] | None) -> tuple[int, list[Answer]]:
    """Lease keys to a machine: these, or all that its grants select.

    Return the epoch, and an answer for each key. Raise `InvalidInput` if the grants select too many
    and `Forbidden` for a machine that is no longer active. What decides is locked in the same order
    as by whatever ends leases: stops, clients, keys, leases, and the machine last.
    """
    vault()
    machine_id = cast(UUID, caller.actor.machine_id)
    asked = None if key_ids is None else list(dict.fromkeys(key_ids))
    situations = lock_situations(machine_id, asked)
    last = _lock_leases(machine_id, situations, caller.actor)
    answers = [
        _answer(key_id, situations.get(key_id), last.get(key_id), caller)
        for key_id in (situations if asked is None else asked)
    ]
    _store([answer for answer in answers if answer.leased], caller.actor)
    return _share_machine(machine_id), answers


def acknowledge(machine_id: UUID, lease_ids: Sequence[UUID], actor: Actor) -> int:
    """Record that a machine has dropped leases, and return how many it had not acknowledged yet.

    A live lease ends by that: the machine gives it back, or has moved to the key's replacement.
    """
    moment, kind = now(), TABLE.c.end_reason.type
    superseded, returned = (
        literal(reason, kind) for reason in (LeaseEnd.SUPERSEDED, LeaseEnd.RETURNED)
    )
    reason = case((Lease.superseded_at.is_not(None), superseded), else_=returned)
    dropped = update_leases(
        [
            Lease.machine_id == machine_id,
            Lease.id.in_(lease_ids),
            Lease.acknowledged_at.is_(None),
        ],
        acknowledged_at=moment,
        ended_at=func.coalesce(Lease.ended_at, moment),
        end_reason=func.coalesce(Lease.end_reason, reason),
    )
    facts = []
    for lease in dropped:
        after_ms = round((moment - lease.ended_at).total_seconds() * 1000)
        own = {"reason": lease.end_reason.value, "after_ms": str(after_ms)}
        facts.append((lease.client_id, lease_facts(lease, lease) | own))
    if facts:
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


def _lock_leases(machine_id: UUID, key_ids: Iterable[UUID], actor: Actor) -> dict[UUID, Any]:
    """Lock the machine's leases of these keys, and return them by key.

    Record that some have expired, if nothing has ended them.
    """
    rows = run_prepared(LOCK_LEASES, {"machine_id": machine_id, "ids": list(key_ids)})
    moment = now()
    if expired := [row.id for row in rows if row.ended_at is None and row.expires_at <= moment]:
        record_expired([Lease.id.in_(expired)], actor)
    return {row.key_id: row for row in rows}


def _answer(key_id: UUID, situation: Situation | None, last: Any, caller: Caller) -> Answer:
    if situation is None:
        return Answer(key_id, code=NOT_GRANTED)
    try:
        return Answer(key_id, situation, _lease(situation, last, caller))
    except KeyDenied as denied:
        return Answer(key_id, situation, code=denied.code)


def _lease(situation: Situation, last: Any, caller: Caller) -> Leased:
    """Return the lease of a key and its credentials, sealed; raise `KeyDenied`."""
    grant, key = choose_grant(situation), situation.key
    period = _extend(last, grant, situation, caller)
    context = protocol.lease_context(
        str(period.id), str(period.machine_id), str(key.id), period.generation
    )
    try:
        with vault().expose(key.credentials, EncryptionContext.of_key(key)) as document:
            sealed = protocol.seal(document, caller.sealing_key, context)
    except Undecryptable:
        _record_undecryptable(period, key, caller.actor)
        raise KeyDenied("undecryptable") from None
    return Leased(period, grant, sealed)


def _record_undecryptable(period: Period, key: Any, actor: Actor) -> None:
    """Record that somebody has altered a key, or that the key ring lacks its version."""
    logger.error("a key can't be decrypted, so it is not leased", extra={"key": str(key.id)})
    facts = {
        name: lease_facts(period, key)[name]
        for name in ("lease", "machine", "key", "exchange", "label")
    }
    facts["code"] = "undecryptable"
    attempt = trail.Attempt(Event.LEASE_DENIED, Outcome.ERROR, 200, facts, key.client_id)
    trail.record_denied(attempt, actor)


def _extend(last: Any, grant: Any, situation: Situation, caller: Caller) -> Period:
    """Return the last lease of the key with its time extended, or a new period of it.

    `last` is a row of `LOCK_LEASES`, or None.
    """
    moment, key = now(), situation.key
    expires_at = moment + timedelta(seconds=grant.ttl_s)
    if key.expires_at:
        expires_at = min(expires_at, key.expires_at)
    held_until = expires_at
    if grant.when_away is WhenAway.HOLD:
        held_until += timedelta(seconds=grant.hold_s)
    terms = {
        "grant_id": grant.id,
        "jti": caller.jti,
        "expires_at": expires_at,
        "held_until": held_until,
    }
    if last and last.ended_at is None and last.expires_at > moment:
        period = Period(*last[: len(Period._fields)])
        return period._replace(renewals=period.renewals + 1, **terms)
    return Period(
        id=last.id if last else new_id(),
        machine_id=cast(UUID, caller.actor.machine_id),
        key_id=key.id,
        generation=situation.generation,
        granted_at=moment,
        renewals=0,
        recorded_at=moment,
        **terms,
    )


def _store(answers: Sequence[Answer], actor: Actor) -> None:
    """Store leases. Record new ones, and the renewal of those not recorded for an hour."""
    moment = now()
    due: dict[Event, list[tuple[UUID, Mapping[str, str]]]] = {}
    periods = []
    for answer in answers:
        situation, period = cast(Situation, answer.situation), cast(Leased, answer.leased).period
        is_due = period.recorded_at <= moment - RECORD_INTERVAL
        if is_due:
            period = period._replace(recorded_at=moment)
        periods.append(period)
        if is_due or period.renewals == 0:
            event = Event.LEASE_RENEWED if period.renewals else Event.LEASE_GRANTED
            fact = (situation.key.client_id, lease_facts(period, situation.key))
            due.setdefault(event, []).append(fact)
    if periods:
        run_prepared(STORE, column_arrays(Period._fields, periods))
    for event, facts in due.items():
        trail.record_each(event, actor, facts)


def _share_machine(machine_id: UUID) -> int:
    """Return the epoch of an active machine, whose status can't change in this transaction."""
    [(status, epoch)] = run_prepared(SHARE_MACHINE, {"machine_id": machine_id})
    if status is MachineStatus.RETIRED:
        raise Forbidden("This machine is retired.", code="machine_retired")
    if status is not MachineStatus.ACTIVE:
        raise Forbidden(SUSPENDED, code="machine_suspended")
    return int(epoch)
