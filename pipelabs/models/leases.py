"""Which machines may hold which exchange API keys, which hold them now, and what stops that."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, Identified, now

DIGEST_BYTES = 32
DAY_S = 86_400


class Delivery(StrEnum):
    """How a machine hands a key to its engine."""

    EXEC = "exec"
    HUMMINGBOT = "hummingbot"
    SDK = "sdk"
    PUSH = "push"
    """Into the engine's own store. It can't be recalled."""


class WhenAway(StrEnum):
    """What a machine does with its keys while it can't reach the service."""

    HOLD = "hold"
    DROP = "drop"


class GrantStatus(StrEnum):
    """Status of a grant: only an active one lets a machine lease keys."""

    REQUESTED = "requested"
    ACTIVE = "active"
    REJECTED = "rejected"
    ENDED = "ended"


class Grant(Identified, Base):
    """The keys that a machine may lease, and how. It can't be edited: end it and request another.

    A selector that is null selects everything.
    """

    __tablename__ = "grants"
    __table_args__ = (
        Index("ix_grants_created_at_id", "created_at", "id"),
        CheckConstraint(f"ttl_s BETWEEN 300 AND {DAY_S}", name="ttl_range"),
        CheckConstraint(f"hold_s BETWEEN 0 AND {DAY_S}", name="hold_range"),
        CheckConstraint("max_holders BETWEEN 1 AND 10", name="holders_range"),
        CheckConstraint("max_examination_age_s BETWEEN 3600 AND 2592000", name="examination_range"),
        CheckConstraint(f"octet_length(digest) = {DIGEST_BYTES}", name="digest_length"),
        CheckConstraint("status <> 'active' OR digest IS NOT NULL", name="approved_if_active"),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    machine_id: Mapped[UUID] = mapped_column(ForeignKey("machines.id"), index=True)
    client_id: Mapped[UUID | None] = mapped_column(ForeignKey("clients.id"), index=True)
    exchange: Mapped[str | None] = mapped_column(ForeignKey("exchanges.slug"), index=True)
    label: Mapped[str | None]
    delivery: Mapped[Delivery]
    ttl_s: Mapped[int]
    max_holders: Mapped[int]
    max_examination_age_s: Mapped[int]
    when_away: Mapped[WhenAway]
    hold_s: Mapped[int]
    status: Mapped[GrantStatus] = mapped_column(default=GrantStatus.REQUESTED)
    # SHA-256 of what was approved. If the row differs from it, the grant selects nothing.
    digest: Mapped[bytes | None]
    requested_by: Mapped[str]
    # Why it was rejected or ended.
    reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class LeaseEnd(StrEnum):
    """Why a machine no longer holds a key."""

    CLIENT_CLOSED = "client_closed"
    EXCHANGE_CLOSED = "exchange_closed"
    EXPIRED = "expired"
    GRANT_ENDED = "grant_ended"
    KEY_EXPIRED = "key_expired"
    KEY_NOT_VERIFIED = "key_not_verified"
    KEY_REVOKED = "key_revoked"
    MACHINE_CLOSED = "machine_closed"
    RETURNED = "returned"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"


class Lease(Identified, Base):
    """The last time that a machine held a key: a row for each pair, used again.

    The audit trail has every period. A lease lives until it ends or expires.
    """

    __tablename__ = "leases"
    __table_args__ = (
        UniqueConstraint("machine_id", "key_id", name="uq_leases_machine_key"),
        Index("ix_leases_granted_at_id", "granted_at", "id"),
        Index("ix_leases_held", "key_id", postgresql_where=text("acknowledged_at IS NULL")),
        Index("ix_leases_expires_at", "expires_at", postgresql_where=text("ended_at IS NULL")),
        CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended_for_a_reason"),
        CheckConstraint("acknowledged_at IS NULL OR ended_at IS NOT NULL", name="ended_if_acked"),
    )

    machine_id: Mapped[UUID] = mapped_column(ForeignKey("machines.id"))
    key_id: Mapped[UUID] = mapped_column(ForeignKey("exchange_api_keys.id"), index=True)
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"), index=True)
    # How many keys the label has had, this one included.
    generation: Mapped[int]
    # The request that leased it, or renewed it last.
    jti: Mapped[str]
    granted_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    # Until when the machine may use the key while it can't reach the service.
    held_until: Mapped[datetime]
    renewals: Mapped[int] = mapped_column(default=0)
    # When the last audit event was recorded. Renewals get one an hour.
    recorded_at: Mapped[datetime]
    # The key was replaced. The machine should move its engine to the new one, then acknowledge.
    superseded_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[LeaseEnd | None]
    # When the machine said that it has dropped the key.
    acknowledged_at: Mapped[datetime | None]


class StopScope(StrEnum):
    """Which keys no machine may hold."""

    EVERYTHING = "everything"
    EXCHANGE = "exchange"
    CLIENT = "client"
    KEY = "key"
    MACHINE = "machine"


class Stop(Identified, Base):
    """No machine may hold the keys in its scope until it is lifted."""

    __tablename__ = "stops"
    __table_args__ = (
        Index("ix_stops_created_at_id", "created_at", "id"),
        Index("ix_stops_raised", "scope", postgresql_where=text("lifted_at IS NULL")),
        CheckConstraint(
            "num_nonnulls(exchange, client_id, key_id, machine_id)"
            " = CASE scope WHEN 'everything' THEN 0 ELSE 1 END",
            name="one_subject",
        ),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    scope: Mapped[StopScope]
    exchange: Mapped[str | None] = mapped_column(ForeignKey("exchanges.slug"), index=True)
    client_id: Mapped[UUID | None] = mapped_column(ForeignKey("clients.id"), index=True)
    key_id: Mapped[UUID | None] = mapped_column(ForeignKey("exchange_api_keys.id"), index=True)
    machine_id: Mapped[UUID | None] = mapped_column(ForeignKey("machines.id"), index=True)
    reason: Mapped[str]
    raised_by: Mapped[str]
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
