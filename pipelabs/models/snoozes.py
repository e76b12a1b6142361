"""Alerts of the Desk page that an admin has snoozed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, Identified

SUBJECT_LENGTH = 320
"""The longest is an e-mail address with a mark before it."""


class Snooze(Identified, Base):
    """An alert that the Desk page leaves out until a time. It is the same for all admins."""

    __tablename__ = "snoozes"
    __table_args__ = (
        UniqueConstraint("kind", "subject", name="uq_snoozes_subject"),
        CheckConstraint(
            f"char_length(subject) BETWEEN 1 AND {SUBJECT_LENGTH}", name="subject_length"
        ),
    )

    # As in `desk.alerts.AlertKind`. Kinds may go, so there is no constraint.
    kind: Mapped[str]
    # What identifies the alert among those of its kind, such as a key's id.
    subject: Mapped[str]
    until: Mapped[datetime]
    reason: Mapped[str]
    snoozed_by_id: Mapped[UUID] = mapped_column(ForeignKey("admins.id"), index=True)
    snoozed_by: Mapped[str]
