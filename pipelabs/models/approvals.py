"""Approvals: a second owner approves one exact change."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, Identified

DIGEST_BYTES = 32


class ApprovalKind(StrEnum):
    """What is approved."""

    GRANT = "grant"
    KEY_ACCEPTANCE = "key_acceptance"
    MACHINE = "machine"
    OWNER_ROLE = "owner_role"
    STOP_LIFT = "stop_lift"


class ApprovalStatus(StrEnum):
    """Status of a request. Only a pending one can be decided."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Approval(Identified, Base):
    """A change that an owner requests, and the decision of another one."""

    __tablename__ = "approvals"
    __table_args__ = (
        Index("ix_approvals_created_at_id", "created_at", "id"),
        Index("ix_approvals_status", "status", "created_at", "id"),
        # At most one request for each subject is pending.
        Index(
            "uq_approvals_subject",
            "kind",
            "subject_id",
            unique=True,
            postgresql_where=text("status = 'pending'"),
        ),
        CheckConstraint("version >= 1", name="version_positive"),
        CheckConstraint(f"octet_length(digest) = {DIGEST_BYTES}", name="digest_length"),
        CheckConstraint(
            "(status = 'pending') = (decided_at IS NULL)", name="decided_unless_pending"
        ),
    )

    kind: Mapped[ApprovalKind]
    # The row that the change is about. Its table depends on the kind.
    subject_id: Mapped[UUID]
    # The exact change, and its SHA-256. A subject that differs then can't be approved.
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    digest: Mapped[bytes]
    requested_by_id: Mapped[UUID] = mapped_column(ForeignKey("admins.id"), index=True)
    requested_by: Mapped[str]
    expires_at: Mapped[datetime]
    status: Mapped[ApprovalStatus] = mapped_column(default=ApprovalStatus.PENDING)
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("admins.id"), index=True)
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    # Why it was rejected.
    reason: Mapped[str | None]
    # The desk has one owner, who approved the own request.
    is_waived: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(default=1)
