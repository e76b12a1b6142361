"""Audit events and the state of audit files."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Identity,
    Index,
    LargeBinary,
    Numeric,
    Text,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from pipelabs.models.base import Base, Proof, new_id, now


class Outcome(StrEnum):
    """Outcome of an attempt: the `status` of an audit line."""

    SUCCESS = "SUCCESS"
    INVALID = "INVALID"
    DUPLICATE = "DUPLICATE"
    RATE_LIMITED = "RATE_LIMITED"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    ERROR = "ERROR"


class XID8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id, which never wraps."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the type's name in DDL."""
        return "xid8"


# Otherwise Alembic's comparison of models and tables does not know this type.
ischema_names["xid8"] = XID8


class AuditEvent(Base):
    """An attempt and its outcome. Append-only: a trigger rejects updates and deletes.

    `client_id` and `admin_id` are not foreign keys, so that events outlive the rows they name.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_client_id_id", "client_id", text("id DESC")),
        Index("ix_audit_events_request_id", "request_id"),
        # What `audit.subjects` has decided.
        Index(
            "ix_audit_events_subject_at_id",
            literal_column("(details ->> 'subject')", Text).label("subject"),
            "at",
            "id",
        ),
        Index(
            "ix_audit_events_exchange_at_id",
            literal_column("(details ->> 'exchange')", Text).label("exchange"),
            "at",
            "id",
            postgresql_where=text("(details ->> 'exchange') IS NOT NULL"),
        ),
        Index("ix_audit_events_xid", "xid"),
        Index("ix_audit_events_at_id", "at", "id"),
        Index(
            "ix_audit_events_admin_id_at_id", "admin_id", "at", "id", postgresql_include=["event"]
        ),
        Index(
            "ix_audit_events_event_at_id",
            "event",
            "at",
            "id",
            postgresql_include=["status", "ms"],
        ),
        Index("ix_audit_events_address_at_id", "address", "at", "id"),
        # Two filters at once would read all that match one of them.
        Index("ix_audit_events_event_status_at_id", "event", "status", "at", "id"),
        Index("ix_audit_events_admin_id_event", "admin_id", "event", "at", "id"),
        Index("ix_audit_events_address_event", "address", "event", "at", "id"),
        Index(
            "ix_audit_events_admin_id_status",
            "admin_id",
            "status",
            "at",
            "id",
            postgresql_where=text("status <> 'SUCCESS'"),
        ),
        Index(
            "ix_audit_events_address_status",
            "address",
            "status",
            "at",
            "id",
            postgresql_where=text("status <> 'SUCCESS'"),
        ),
        Index(
            "ix_audit_events_status_at_id",
            "status",
            "at",
            "id",
            postgresql_where=text("status <> 'SUCCESS'"),
        ),
        Index(
            "ix_audit_events_actor_at_id",
            "actor",
            "at",
            "id",
            postgresql_where=text("admin_id IS NULL AND actor IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    uid: Mapped[UUID] = mapped_column(default=new_id)
    at: Mapped[datetime] = mapped_column(default=now)
    instance: Mapped[str]
    admin_id: Mapped[UUID | None]
    actor: Mapped[str | None]
    address: Mapped[str | None]
    request_id: Mapped[str]
    status: Mapped[Outcome]
    event: Mapped[str]
    client_id: Mapped[UUID | None]
    http: Mapped[int | None]
    ms: Mapped[float | None] = mapped_column(Numeric(12, 1, asdecimal=False))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    mac_key: Mapped[str]
    mac: Mapped[bytes] = mapped_column(LargeBinary)
    xid: Mapped[int] = mapped_column(XID8, server_default=text("pg_current_xact_id()"))

    # Set by `audit.trail` when a row is loaded.
    proof = Proof.VALID


class CoalescedDenials(Base):
    """Number of denials of a caller in this minute, and how many of them have no row."""

    __tablename__ = "coalesced_denials"

    caller: Mapped[str] = mapped_column(primary_key=True)
    window_at: Mapped[datetime]
    denials: Mapped[int]
    coalesced: Mapped[int]


class AuditFileMark(Base):
    """The transaction id below which an instance's file has every line.

    Inode, offset and a hash of what is before it tell where the next look at the file begins.
    """

    __tablename__ = "audit_file_marks"

    instance: Mapped[str] = mapped_column(primary_key=True)
    xid: Mapped[str] = mapped_column(XID8)
    marked_at: Mapped[datetime] = mapped_column(default=now)
    inode: Mapped[int | None] = mapped_column(BigInteger)
    byte_offset: Mapped[int | None] = mapped_column(BigInteger)
    tail: Mapped[bytes | None]
    # The transaction id below which no line is in the file of this inode.
    file_xid: Mapped[str | None] = mapped_column(XID8)
