"""Clients whose onboarding was ended although a step was open."""

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, Identified


class OnboardingEnd(Identified, Base):
    """The end of a client's onboarding: what is open is not needed."""

    __tablename__ = "onboarding_ends"

    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"), unique=True)
    reason: Mapped[str]
    # The actor as the audit trail names it.
    ended_by: Mapped[str]
