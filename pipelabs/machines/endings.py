"""End leases, in the transaction of what ends them, and tell the machines by their epoch."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, select, update

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
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
CLOSED = {Status.SUSPENDED.value, Status.OFFBOARDED.value}


def end_leases(conditions: Conditions, reason: LeaseEnd, actor: Actor) -> int:
    """End the leases that match all conditions, and return their number.

    Those that have expired count while their machine may hold the key without the service. The
    machines have to drop the keys. A key can go to another machine once this one has acknowledged
    that, or can't use it any longer.
    """
    leases = _lock([*is_endable(), *conditions])
    moment = now()
    for lease, _ in leases:
        lease.ended_at, lease.end_reason = moment, reason
    if leases:
        db.session.flush()
        raise_epoch(lease.machine_id for lease, _ in leases)
        facts = [
            (key.client_id, lease_facts(lease, key) | {"reason": reason.value})
            for lease, key in leases
        ]
        trail.record_each(Event.LEASE_ENDED, actor, facts)
    return len(leases)


def supersede_leases(key_id: UUID) -> None:
    """Mark the live leases of a key that was replaced. Its engines can use it until they move."""
    leases = _lock([*is_live(), Lease.key_id == key_id])
    for lease, _ in leases:
        lease.superseded_at = now()
    db.session.flush()
    raise_epoch(lease.machine_id for lease, _ in leases)


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


def lease_facts(lease: Lease, key: ExchangeAPIKey) -> dict[str, str]:
    """Return what every event of a lease records."""
    return {
        "lease": str(lease.id),
        "machine": str(lease.machine_id),
        "key": str(key.id),
        "exchange": key.exchange,
        "label": key.label,
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


def _lock(conditions: Conditions) -> list[tuple[Lease, ExchangeAPIKey]]:
    query = (
        select(Lease, ExchangeAPIKey)
        .join(ExchangeAPIKey, ExchangeAPIKey.id == Lease.key_id)
        .where(*conditions)
        .order_by(Lease.id)
        .with_for_update(of=Lease)
    )
    rows = db.session.execute(query.execution_options(populate_existing=True))
    return [(lease, key) for lease, key in rows]


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
        leases = _lock([*is_live(), Lease.key_id == key.id, Lease.held_until > key.expires_at])
        for lease, _key in leases:
            lease.expires_at = min(lease.expires_at, key.expires_at)
            lease.held_until = key.expires_at
        db.session.flush()
        raise_epoch(lease.machine_id for lease, _key in leases)


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
    end_leases([ExchangeAPIKey.exchange == facts["slug"]], LeaseEnd.EXCHANGE_CLOSED, actor)


@trail.follow(Event.MACHINE_SUSPENDED, Event.MACHINE_RETIRED, Event.MACHINE_CLONE_SUSPECTED)
def _end_of_machine(_: Event, actor: Actor, _client: UUID | None, facts: Mapping[str, str]) -> None:
    end_leases([Lease.machine_id == UUID(facts["machine"])], LeaseEnd.MACHINE_CLOSED, actor)
