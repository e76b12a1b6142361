"""End leases, in the transaction of what ends them, and tell the machines by their epoch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Table, func, select, update

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db, run
from pipelabs.models import (
    ExchangeAPIKey,
    KeyStatus,
    Lease,
    LeaseEnd,
    Machine,
    Status,
    now,
)

Conditions = Iterable[ColumnElement[bool]]
TABLE = cast(Table, Lease.__table__)
CLOSED = {Status.SUSPENDED.value, Status.OFFBOARDED.value}
SUBJECT = (ExchangeAPIKey.client_id, ExchangeAPIKey.exchange, ExchangeAPIKey.label)
"""What events of a lease record of its key."""


def update_leases(conditions: Conditions, limit: int | None = None, **values: Any) -> Sequence[Any]:
    """Set columns of the leases that match all conditions, and return those leases.

    The rows have the columns of `Lease` after the update, and those of `SUBJECT`. They are locked
    in the order of ids, so there is no deadlock with another transaction that updates several. With
    a `limit`, leases that another transaction has locked are left out.
    """
    matching = (
        select(TABLE.c.id, *SUBJECT)
        .join(ExchangeAPIKey, ExchangeAPIKey.id == TABLE.c.key_id)
        .where(*conditions)
        .order_by(TABLE.c.id)
        .limit(limit)
        .with_for_update(of=TABLE, skip_locked=limit is not None)
        .cte("matching")
    )
    statement = (
        update(TABLE)
        .where(TABLE.c.id == matching.c.id)
        .values(values)
        .returning(*TABLE.columns, *(matching.c[column.key] for column in SUBJECT))
    )
    db.session.flush()
    return run(statement, {}).all()


def end_leases(conditions: Conditions, reason: LeaseEnd, actor: Actor) -> int:
    """End the leases that match all conditions, and return their number.

    Those that have expired count while their machine may hold the key without the service. The
    machines have to drop the keys. A key can go to another machine once this one has acknowledged
    that, or can't use it any longer.
    """
    ended = update_leases([*is_endable(), *conditions], ended_at=now(), end_reason=reason)
    raise_epoch(lease.machine_id for lease in ended)
    record_ended(ended, actor)
    return len(ended)


def expire_leases(actor: Actor, limit: int = 500) -> int:
    """Record that leases have expired, and return their number. Their machines learn of it."""
    expired = record_expired((), actor, limit)
    raise_epoch(lease.machine_id for lease in expired)
    return len(expired)


def record_expired(conditions: Conditions, actor: Actor, limit: int | None = None) -> Sequence[Any]:
    """End the matching leases whose time is over when it was over, and return them."""
    is_over = (Lease.ended_at.is_(None), Lease.expires_at <= now())
    values = {"ended_at": Lease.expires_at, "end_reason": LeaseEnd.EXPIRED}
    expired = update_leases([*is_over, *conditions], limit, **values)
    record_ended(expired, actor)
    return expired


def supersede_leases(key_id: UUID) -> None:
    """Mark the live leases of a key that was replaced. Its engines can use it until they move."""
    superseded = update_leases([*is_live(), Lease.key_id == key_id], superseded_at=now())
    raise_epoch(lease.machine_id for lease in superseded)


def lock_leases_of(machine_id: UUID) -> None:
    """Lock the leases of a machine before the machine, as everything that ends leases does."""
    query = select(Lease.id).where(Lease.machine_id == machine_id).order_by(Lease.id)
    db.session.execute(query.with_for_update())


def raise_epoch(machine_ids: Iterable[UUID]) -> None:
    """Tell machines that something about their keys has changed. Lock them in the order of ids."""
    ids = sorted(set(machine_ids))
    if not ids:
        return
    lock = select(Machine.id).where(Machine.id.in_(ids)).order_by(Machine.id)
    db.session.execute(lock.with_for_update(key_share=True))
    raised = update(Machine).where(Machine.id.in_(ids)).values(epoch=Machine.epoch + 1)
    db.session.execute(raised, execution_options={"synchronize_session": "fetch"})


def record_ended(ended: Iterable[Any], actor: Actor) -> None:
    """Record the end of leases that `update_leases` has returned."""
    facts = [
        (lease.client_id, lease_facts(lease, lease) | {"reason": lease.end_reason.value})
        for lease in ended
    ]
    if facts:
        trail.record_each(Event.LEASE_ENDED, actor, facts)


def lease_facts(lease: Any, subject: Any) -> dict[str, str]:
    """Return what every event of a lease records. `subject` has what `SUBJECT` names."""
    return {
        "lease": str(lease.id),
        "machine": str(lease.machine_id),
        "key": str(lease.key_id),
        "exchange": subject.exchange,
        "label": subject.label,
        "generation": str(lease.generation),
        "until": lease.expires_at.isoformat(),
        "held_until": lease.held_until.isoformat(),
    }


def is_live() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions for leases that have neither ended nor expired."""
    return Lease.ended_at.is_(None), Lease.expires_at > now()


def is_endable() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for leases that nothing but their time has ended, and may be held."""
    has_only_expired = Lease.ended_at.is_(None) | (Lease.end_reason == LeaseEnd.EXPIRED)
    return has_only_expired, Lease.acknowledged_at.is_(None), Lease.held_until > now()


@trail.follow(Event.API_KEY_REVOKED, Event.API_KEY_ALTERED, Event.API_KEY_DESTROYED)
def _end_of_key(event: Event, actor: Actor, _: UUID | None, facts: Mapping[str, str]) -> None:
    reason = LeaseEnd.KEY_NOT_VERIFIED if event is Event.API_KEY_ALTERED else LeaseEnd.KEY_REVOKED
    end_leases([Lease.key_id == UUID(facts["key"])], reason, actor)


@trail.follow(Event.API_KEY_VERIFIED, Event.API_KEY_VERIFICATION_FAILED)
def _end_unverified(_: Event, actor: Actor, _client: UUID | None, facts: Mapping[str, str]) -> None:
    if facts["status"] != KeyStatus.VERIFIED:
        end_leases([Lease.key_id == UUID(facts["key"])], LeaseEnd.KEY_NOT_VERIFIED, actor)


@trail.follow(Event.API_KEY_UPDATED)
def _shorten(_: Event, actor: Actor, _client: UUID | None, facts: Mapping[str, str]) -> None:
    """Let no lease outlive a key whose expiry was changed."""
    key = db.session.get_one(ExchangeAPIKey, UUID(facts["key"]))
    if key.has_expired:
        end_leases([Lease.key_id == key.id], LeaseEnd.KEY_EXPIRED, actor)
    elif key.expires_at:
        too_long = [*is_live(), Lease.key_id == key.id, Lease.held_until > key.expires_at]
        earlier = func.least(Lease.expires_at, key.expires_at)
        leases = update_leases(too_long, expires_at=earlier, held_until=key.expires_at)
        raise_epoch(lease.machine_id for lease in leases)


@trail.follow(Event.API_KEY_CUT_OVER, Event.API_KEY_ROLLED_BACK)
def _supersede(_: Event, _actor: Actor, _client: UUID | None, facts: Mapping[str, str]) -> None:
    supersede_leases(UUID(facts.get("replaces") or facts["from"]))


@trail.follow(Event.CLIENT_STATUS_CHANGED)
def _end_of_client(
    _: Event, actor: Actor, client_id: UUID | None, facts: Mapping[str, str]
) -> None:
    if facts.get("to") in CLOSED:
        end_leases([ExchangeAPIKey.client_id == client_id], LeaseEnd.CLIENT_CLOSED, actor)


@trail.follow(Event.EXCHANGE_DISABLED)
def _end_at_exchange(
    _: Event, actor: Actor, _client: UUID | None, facts: Mapping[str, str]
) -> None:
    end_leases([ExchangeAPIKey.exchange == facts["exchange"]], LeaseEnd.EXCHANGE_CLOSED, actor)


@trail.follow(Event.MACHINE_SUSPENDED, Event.MACHINE_RETIRED, Event.MACHINE_CLONE_SUSPECTED)
def _end_of_machine(_: Event, actor: Actor, _client: UUID | None, facts: Mapping[str, str]) -> None:
    end_leases([Lease.machine_id == UUID(facts["machine"])], LeaseEnd.MACHINE_CLOSED, actor)
