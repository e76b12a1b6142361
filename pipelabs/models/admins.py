"""Admins, their sessions and API tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, Identified, now
from pipelabs.models.permissions import Role


class Admin(Identified, Base):
    """A person who can sign in."""

    __tablename__ = "admins"
    __table_args__ = (
        CheckConstraint("email = lower(email)", name="email_folded"),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    email: Mapped[str] = mapped_column(unique=True)
    role: Mapped[Role]
    password_hash: Mapped[str]
    is_disabled: Mapped[bool] = mapped_column(default=False)
    # Incremented to invalidate every token issued so far: a new password, ended sessions.
    token_version: Mapped[int] = mapped_column(default=1)
    # The password was set by someone else and must be changed before anything else.
    must_change_password: Mapped[bool] = mapped_column(default=False)
    # Until when such a password can be used to sign in. None once it was.
    one_time_password_until: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1, server_default="1")


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
    expires_at: Mapped[datetime] = mapped_column(index=True)
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
