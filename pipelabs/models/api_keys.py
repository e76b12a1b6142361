"""Exchange API keys: the vault's table. What is secret in a row is sealed; the rest is shown."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pipelabs.models.base import Base, Identified, now
from pipelabs.models.clients import Client
from pipelabs.models.envelopes import EncryptionContext, Envelope

LABEL_LENGTH = 100
IP_NOTE_LENGTH = 500


def last_day(expires_at: datetime | None) -> date | None:
    """Return the last day on which something can be used that ends at this moment."""
    return expires_at and (expires_at - timedelta(microseconds=1)).date()


class KeyStatus(StrEnum):
    """What is known of a key; only a verified one may be traded with."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    QUARANTINED = "quarantined"
    REVOKED = "revoked"


class KeyStage(StrEnum):
    """Where a key stands in the life of its label: one is live, one may wait to replace it.

    What was replaced is kept for a day, to be taken back; then its secrets are destroyed.
    """

    CANDIDATE = "candidate"
    LIVE = "live"
    SUPERSEDED = "superseded"
    DESTROYED = "destroyed"


class ExchangeAPIKey(Identified, Base):
    """One client's key to one exchange, under a label; its secrets are one sealed document."""

    __tablename__ = "exchange_api_keys"
    __table_args__ = (
        Index(
            "uq_exchange_api_keys_label",
            "client_id",
            "exchange",
            "label",
            unique=True,
            postgresql_where=text("stage = 'live'"),
        ),
        Index(
            "uq_exchange_api_keys_candidate",
            "client_id",
            "exchange",
            "label",
            unique=True,
            postgresql_where=text("stage = 'candidate'"),
        ),
        Index("ix_exchange_api_keys_created_at_id", "created_at", "id"),
        Index(
            "ix_exchange_api_keys_expires_at",
            "expires_at",
            postgresql_where=text("stage <> 'destroyed'"),
        ),
        Index(
            "ix_exchange_api_keys_destroy_at",
            "destroy_at",
            postgresql_where=text("stage = 'superseded'"),
        ),
        Index("ix_exchange_api_keys_kek_version_id", "kek_version", "id"),
        CheckConstraint(f"char_length(label) BETWEEN 1 AND {LABEL_LENGTH}", name="label_length"),
        CheckConstraint(
            "(stage = 'destroyed') = (credentials IS NULL)", name="encrypted_or_destroyed"
        ),
        CheckConstraint("(credentials IS NULL) = (kek_version IS NULL)", name="kek_version_known"),
        CheckConstraint(
            "(stage = 'superseded') = (destroy_at IS NOT NULL)", name="superseded_until"
        ),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"), index=True)
    exchange: Mapped[str] = mapped_column(ForeignKey("exchanges.slug"), index=True)
    label: Mapped[str]
    is_testnet: Mapped[bool] = mapped_column(default=False)
    # Which addresses may use the key, in the client's or the exchange's words.
    ip_note: Mapped[str] = mapped_column(default="")
    expires_at: Mapped[datetime | None]
    stage: Mapped[KeyStage] = mapped_column(default=KeyStage.LIVE)
    status: Mapped[KeyStatus] = mapped_column(default=KeyStatus.UNVERIFIED)
    last_four: Mapped[str]
    # HMAC of exchange and API key: finds the same account under two clients without opening any.
    fingerprint: Mapped[bytes] = mapped_column(index=True)
    # Which fields are sealed: `registry.Credential`.
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    credentials: Mapped[Envelope | None]
    # The version of the ring's key that wraps them, so that rows per version can be counted.
    kek_version: Mapped[int | None]
    # The key that this one is to replace, or has replaced.
    replaces_id: Mapped[UUID | None] = mapped_column(ForeignKey("exchange_api_keys.id"), index=True)
    destroy_at: Mapped[datetime | None]
    # What the exchange said that the key may do: right → verdict and evidence.
    permissions: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    # Why the exchange could not be asked, or None.
    failure: Mapped[str | None]
    examined_at: Mapped[datetime | None]
    examined_ms: Mapped[float | None]
    # Why an owner takes the risk of a key that may be able to withdraw.
    accepted_reason: Mapped[str | None]
    accepted_by: Mapped[str | None]
    accepted_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime] = mapped_column(default=now)

    client: Mapped[Client] = relationship(lazy="joined", innerjoin=True)

    @property
    def context(self) -> EncryptionContext:
        """Return what the encrypted document belongs to; it decrypts under no other context."""
        return EncryptionContext(self.id, self.client_id, self.exchange, "credentials")

    @property
    def expires_on(self) -> date | None:
        """Return the last day on which it can be used."""
        return last_day(self.expires_at)

    @property
    def has_expired(self) -> bool:
        """Return whether its exchange takes it no more, by the moment that is noted."""
        return self.expires_at is not None and self.expires_at <= now()

    @property
    def masked(self) -> str:
        """Return the API key as it may be shown."""
        return f"••••{self.last_four}"
