"""Machines: the hosts or containers of engines, which may hold exchange API keys."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, Identified, now

NAME_LENGTH = 64
KEY_BYTES = 32
DIGEST_BYTES = 32


class MachineStatus(StrEnum):
    """Status of a machine: only an active one may lease keys."""

    INVITED = "invited"
    """An enrolment code was issued."""
    ENROLLED = "enrolled"
    """The host has sent its keys, which wait for approval."""
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class Machine(Identified, Base):
    """A host or container that runs an engine. Only the public halves of its keys are stored."""

    __tablename__ = "machines"
    __table_args__ = (
        Index("ix_machines_created_at_id", "created_at", "id"),
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {NAME_LENGTH}", name="name_length"),
        CheckConstraint("(signing_key IS NULL) = (sealing_key IS NULL)", name="both_keys"),
        CheckConstraint(
            f"octet_length(signing_key) = {KEY_BYTES} AND octet_length(sealing_key) = {KEY_BYTES}",
            name="key_length",
        ),
        CheckConstraint(
            "status IN ('invited', 'retired') OR signing_key IS NOT NULL", name="enrolled_with_keys"
        ),
        CheckConstraint("(status = 'invited') = (code_digest IS NOT NULL)", name="code_if_invited"),
        CheckConstraint("(code_digest IS NULL) = (code_expires_at IS NULL)", name="code_expires"),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    name: Mapped[str] = mapped_column(unique=True)
    status: Mapped[MachineStatus] = mapped_column(default=MachineStatus.INVITED)
    # Networks in CIDR form from which it may enrol and call.
    addresses: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # SHA-256 of the enrolment code, which is random.
    code_digest: Mapped[bytes | None] = mapped_column(unique=True)
    code_expires_at: Mapped[datetime | None]
    invited_by_id: Mapped[UUID] = mapped_column(ForeignKey("admins.id"), index=True)
    invited_by: Mapped[str]
    # Ed25519, X25519.
    signing_key: Mapped[bytes | None]
    sealing_key: Mapped[bytes | None]
    # SHA-256 of the signing key, by which requests name it.
    thumbprint: Mapped[bytes | None] = mapped_column(unique=True)
    enrolled_at: Mapped[datetime | None]
    enrolled_from: Mapped[str | None]
    # Raised by whatever changes the keys that it may hold.
    epoch: Mapped[int] = mapped_column(default=1)
    # Why it was suspended or retired.
    reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class MachineSighting(Base):
    """The last request of a machine: whether the next one repeats it or comes from a copy.

    The table is unlogged, because each request writes to it. After a crash it is empty.
    """

    __tablename__ = "machine_sightings"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    machine_id: Mapped[UUID] = mapped_column(
        ForeignKey("machines.id", ondelete="CASCADE"), primary_key=True
    )
    # What the process of the agent chose when it started, and the number of its last request.
    stream: Mapped[str]
    number: Mapped[int] = mapped_column(BigInteger)
    address: Mapped[str]
    seen_at: Mapped[datetime]
    # What it had before. If that comes back, two processes use the same keys.
    previous_stream: Mapped[str | None]
    stream_changed_at: Mapped[datetime | None]
    previous_address: Mapped[str | None]
    address_changed_at: Mapped[datetime | None]
