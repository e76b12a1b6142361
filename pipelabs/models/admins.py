"""Admins, what their roles allow, and their sessions."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, Identified, now


class Permission(StrEnum):
    """What a route may ask for; a route that asks for none must say that it is public."""

    AUDIT_READ = "audit.read"
    CLIENTS_READ = "clients.read"
    CLIENTS_WRITE = "clients.write"
    SELF_READ = "self.read"
    SELF_WRITE = "self.write"


class Role(StrEnum):
    """What an admin is to the desk."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    OWNER = "owner"

    @property
    def permissions(self) -> frozenset[Permission]:
        """Return what this role may do; what is not listed is denied."""
        return ROLE_PERMISSIONS[self]


_VIEWER = frozenset(
    {
        Permission.AUDIT_READ,
        Permission.CLIENTS_READ,
        Permission.SELF_READ,
        Permission.SELF_WRITE,
    }
)
ROLE_PERMISSIONS = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _VIEWER | {Permission.CLIENTS_WRITE},
    Role.OWNER: frozenset(Permission),
}


class Admin(Identified, Base):
    """A person of the desk who signs in."""

    __tablename__ = "admins"
    __table_args__ = (CheckConstraint("email = lower(email)", name="email_folded"),)

    email: Mapped[str] = mapped_column(unique=True)
    role: Mapped[Role]
    password_hash: Mapped[str]
    is_disabled: Mapped[bool] = mapped_column(default=False)
    # Raised when every token issued so far must die: a new password, a forced sign-out.
    token_version: Mapped[int] = mapped_column(default=1)


class SignInThrottle(Base):
    """How often signing in was tried for an account or from an address in one window."""

    __tablename__ = "sign_in_throttles"

    key: Mapped[str] = mapped_column(primary_key=True)
    window_at: Mapped[datetime]
    tries: Mapped[int]


class Session(Identified, Base):
    """One sign-in of one admin; its tokens live no longer than the row says."""

    __tablename__ = "sessions"

    admin_id: Mapped[UUID] = mapped_column(ForeignKey("admins.id"), index=True)
    address: Mapped[str]
    # The id of the one refresh token that still counts; an older one is a replay.
    refresh_jti: Mapped[UUID]
    renewed_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
