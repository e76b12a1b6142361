"""Admins, roles and their permissions, sessions and API tokens."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, Identified, now


class Permission(StrEnum):
    """A permission that a route requires. Routes without one must be declared public."""

    ADMINS_READ = "admins.read"
    ADMINS_WRITE = "admins.write"
    API_KEYS_ACCEPT = "api_keys.accept"
    API_KEYS_READ = "api_keys.read"
    API_KEYS_WRITE = "api_keys.write"
    AUDIT_READ = "audit.read"
    CLIENTS_READ = "clients.read"
    CLIENTS_WRITE = "clients.write"
    EXCHANGES_READ = "exchanges.read"
    EXCHANGES_WRITE = "exchanges.write"
    SELF_READ = "self.read"
    SELF_WRITE = "self.write"
    TOKEN_PAIRS_READ = "token_pairs.read"
    TOKEN_PAIRS_WRITE = "token_pairs.write"


class Role(StrEnum):
    """Role of an admin user."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    OWNER = "owner"

    @property
    def permissions(self) -> frozenset[Permission]:
        """Return the permissions of this role. Everything else is denied."""
        return ROLE_PERMISSIONS[self]


_VIEWER = frozenset(
    {
        Permission.API_KEYS_READ,
        Permission.AUDIT_READ,
        Permission.CLIENTS_READ,
        Permission.EXCHANGES_READ,
        Permission.SELF_READ,
        Permission.SELF_WRITE,
        Permission.TOKEN_PAIRS_READ,
    }
)
ROLE_PERMISSIONS = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _VIEWER
    | {Permission.API_KEYS_WRITE, Permission.CLIENTS_WRITE, Permission.TOKEN_PAIRS_WRITE},
    Role.OWNER: frozenset(Permission),
}


class Admin(Identified, Base):
    """A person who can sign in."""

    __tablename__ = "admins"
    __table_args__ = (CheckConstraint("email = lower(email)", name="email_folded"),)

    email: Mapped[str] = mapped_column(unique=True)
    role: Mapped[Role]
    password_hash: Mapped[str]
    is_disabled: Mapped[bool] = mapped_column(default=False)
    # Incremented to invalidate every token issued so far: a new password, ended sessions.
    token_version: Mapped[int] = mapped_column(default=1)
    # The password was set by someone else and must be changed before anything else.
    must_change_password: Mapped[bool] = mapped_column(default=False)


class SignInThrottle(Base):
    """Number of sign-in attempts for an account or from an address in one window."""

    __tablename__ = "sign_in_throttles"

    key: Mapped[str] = mapped_column(primary_key=True)
    window_at: Mapped[datetime]
    tries: Mapped[int]


class Session(Identified, Base):
    """A sign-in of an admin. Its tokens are valid no longer than this row."""

    __tablename__ = "sessions"

    admin_id: Mapped[UUID] = mapped_column(ForeignKey("admins.id"), index=True)
    address: Mapped[str]
    user_agent: Mapped[str] = mapped_column(default="")
    # The id of the only valid refresh token. Any earlier one is a replay.
    refresh_jti: Mapped[UUID]
    renewed_at: Mapped[datetime] = mapped_column(default=now)
    # Written at most once a minute.
    seen_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class APIToken(Identified, Base):
    """An API token of an admin. Its text is shown once and never stored."""

    __tablename__ = "api_tokens"

    admin_id: Mapped[UUID] = mapped_column(ForeignKey("admins.id"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    last_four: Mapped[str]
    # SHA-256 is enough for a random token, and fast enough for a lookup at every call.
    digest: Mapped[bytes] = mapped_column(unique=True)
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # Networks in CIDR form. None means any address.
    addresses: Mapped[list[str]] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    last_address: Mapped[str | None]
    revoked_at: Mapped[datetime | None]
