"""What people look at: the state of leases, the holders of a key, what a stop has ended."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.exchanges import registry
from pipelabs.machines.endings import is_live
from pipelabs.models import (
    AuditEvent,
    Client,
    ExchangeAPIKey,
    Lease,
    LeaseEnd,
    Machine,
    MachineSighting,
    Stop,
    now,
)
from pipelabs.models.leases import DAY_S

MAX_LEASES = 200
"""Leases on one page. No call leases more keys."""


class LeaseState(StrEnum):
    """What is known about a lease."""

    HELD = "held"
    SUPERSEDED = "superseded"
    """Its key was replaced, and the machine has not moved yet."""
    SILENT = "silent"
    """It has ended, and the machine may still have the key."""
    ACKNOWLEDGED = "acknowledged"
    EXPIRED = "expired"
    UNCONFIRMED = "unconfirmed"
    """It has ended and its time is over, and the machine never said that it dropped the key."""


class HeldKey(NamedTuple):
    """A lease with its key and its machine."""

    lease: Lease
    key: ExchangeAPIKey
    machine: Machine

    @property
    def state(self) -> LeaseState:
        """Return the state of the lease."""
        lease, moment = self.lease, now()
        if lease.acknowledged_at:
            return LeaseState.ACKNOWLEDGED
        if lease.ended_at is None and lease.expires_at > moment:
            return LeaseState.SUPERSEDED if lease.superseded_at else LeaseState.HELD
        if lease.held_until > moment:
            return LeaseState.SILENT
        has_expired = lease.end_reason in {None, LeaseEnd.EXPIRED}
        return LeaseState.EXPIRED if has_expired else LeaseState.UNCONFIRMED

    @property
    def ended_at(self) -> datetime:
        """Return when the lease ended, or when its time is over."""
        return self.lease.ended_at or self.lease.expires_at

    @property
    def after_ms(self) -> int | None:
        """Return how long the machine took to drop the key, or None if it did not say so."""
        return _to_ms(self.lease.ended_at, self.lease.acknowledged_at)


class Dropped(NamedTuple):
    """What one machine has said about the leases that a stop has ended."""

    machine_id: UUID
    name: str
    leases: int
    acknowledged: int
    ended_at: datetime
    acknowledged_at: datetime | None
    """When it said so last."""
    until: datetime
    """Until when it may have a key that it has not acknowledged."""

    @property
    def state(self) -> LeaseState:
        """Return whether all are acknowledged, and if not, whether it may still have keys."""
        if self.acknowledged == self.leases:
            return LeaseState.ACKNOWLEDGED
        return LeaseState.SILENT if self.until > now() else LeaseState.UNCONFIRMED

    @property
    def after_ms(self) -> int | None:
        """Return how long its last acknowledgement took, or None before the first."""
        return _to_ms(self.ended_at, self.acknowledged_at)


def list_held_keys(machine_id: UUID) -> list[HeldKey]:
    """Return the leases of a machine: those whose key it may have first, then the latest."""
    order = (and_(*_may_hold()).desc(), Lease.granted_at.desc(), Lease.id)
    return _list_leases([Lease.machine_id == machine_id], order)


def list_holders(key_id: UUID) -> list[HeldKey]:
    """Return the leases of a key whose machine may have it, the oldest first."""
    return _list_leases([Lease.key_id == key_id, *_may_hold()], (Lease.granted_at, Lease.id))


def list_behind(key: ExchangeAPIKey) -> list[HeldKey]:
    """Return the leases of earlier keys under this label, whose machines may still have them.

    After 24 hours a machine that has not moved is one that could not be reached. Its lease has
    expired then, and the earlier key is retained until it can't use the key without the service.
    """
    same_label = [
        getattr(ExchangeAPIKey, name) == getattr(key, name)
        for name in ("client_id", "exchange", "label")
    ]
    is_behind = (Lease.superseded_at.is_not(None), Lease.key_id != key.id, *_may_hold())
    return _list_leases([*same_label, *is_behind], (Lease.granted_at, Lease.id))


def count_live(machine_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return machine → how many live leases it has, without machines that have none."""
    query = select(Lease.machine_id, func.count()).where(Lease.machine_id.in_(machine_ids))
    rows = db.session.execute(query.where(*is_live()).group_by(Lease.machine_id))
    return {row[0]: row[1] for row in rows}


def find_seen(machine_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Return machine → when it called last, without machines that have not called."""
    query = select(MachineSighting.machine_id, MachineSighting.seen_at)
    rows = db.session.execute(query.where(MachineSighting.machine_id.in_(machine_ids)))
    return {row[0]: row[1] for row in rows}


def find_names(described: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return id → name of the clients, keys and machines that grants, stops or requests name.

    The members are those of `describe`: `client_id`, `key_id`, `machine_id`.
    """
    rows = list(described)
    ids = {
        name: {UUID(row[name]) for row in rows if row.get(name)}
        for name in ("client_id", "key_id", "machine_id")
    }
    names: dict[str, str] = {}
    for model, found in ((Client, ids["client_id"]), (Machine, ids["machine_id"])):
        if found:
            query = select(model.id, model.name).where(model.id.in_(found))
            names |= {str(row[0]): row[1] for row in db.session.execute(query)}
    if ids["key_id"]:
        keys = select(ExchangeAPIKey).where(ExchangeAPIKey.id.in_(ids["key_id"]))
        names |= {
            str(
                key.id
            ): f"{registry.name_of(key.exchange)} {key.masked}, {key.client.name}, {key.label}"
            for key in db.session.scalars(keys)
        }
    return names


def list_dropped(stop: Stop) -> list[Dropped]:
    """Return the machines whose leases a stop has ended, those that have not dropped all first.

    It is read from the audit trail, because a lease that is granted again uses the same row.
    """
    raised = db.session.execute(
        select(AuditEvent.xid, AuditEvent.request_id, AuditEvent.at).where(
            AuditEvent.event == Event.STOP_RAISED,
            AuditEvent.details["stop"].astext == str(stop.id),
        )
    ).first()
    if raised is None:
        return []
    ended = select(AuditEvent.details, AuditEvent.at).where(
        AuditEvent.xid == raised.xid,
        AuditEvent.request_id == raised.request_id,
        AuditEvent.event == Event.LEASE_ENDED,
    )
    leases = {row.details["lease"]: row for row in db.session.execute(ended)}
    acknowledged = _find_acknowledgements(leases, raised.at)
    by_machine: dict[str, list[str]] = {}
    for lease, row in leases.items():
        by_machine.setdefault(row.details["machine"], []).append(lease)
    names = find_names({"machine_id": machine} for machine in by_machine)
    dropped = []
    for machine, own in by_machine.items():
        times = [acknowledged[lease] for lease in own if lease in acknowledged]
        until = [leases[lease].details["held_until"] for lease in own if lease not in acknowledged]
        dropped.append(
            Dropped(
                machine_id=UUID(machine),
                name=names[machine],
                leases=len(own),
                acknowledged=len(times),
                ended_at=max(leases[lease].at for lease in own),
                acknowledged_at=max(times, default=None),
                until=max(map(datetime.fromisoformat, until), default=raised.at),
            )
        )
    return sorted(dropped, key=lambda one: (one.acknowledged == one.leases, one.name))


def _may_hold() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions for leases whose machine may have the key."""
    return Lease.acknowledged_at.is_(None), Lease.held_until > now()


def _list_leases(conditions: Iterable[ColumnElement[bool]], order: Iterable[Any]) -> list[HeldKey]:
    query = (
        select(Lease, ExchangeAPIKey, Machine)
        .join(ExchangeAPIKey, ExchangeAPIKey.id == Lease.key_id)
        .join(Machine, Machine.id == Lease.machine_id)
        .where(*conditions)
        .order_by(*order)
        .limit(MAX_LEASES)
    )
    return [HeldKey(*row) for row in db.session.execute(query)]


def _find_acknowledgements(lease_ids: Collection[str], since: datetime) -> dict[str, datetime]:
    """Return lease → when it was acknowledged first after a time, within the longest lease."""
    lease = AuditEvent.details["lease"].astext
    query = select(lease, func.min(AuditEvent.at)).where(
        AuditEvent.event == Event.LEASE_ACKNOWLEDGED,
        AuditEvent.at >= since,
        AuditEvent.at < since + timedelta(seconds=3 * DAY_S),
        lease.in_(lease_ids),
    )
    return {row[0]: row[1] for row in db.session.execute(query.group_by(lease))}


def _to_ms(ended_at: datetime | None, acknowledged_at: datetime | None) -> int | None:
    if ended_at is None or acknowledged_at is None:
        return None
    return round((acknowledged_at - ended_at).total_seconds() * 1000)
