"""Exchange API keys. Only the credentials of a row are secret; they are encrypted."""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, literal_column, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pipelabs.models.base import Base, Identified, Proof, now
from pipelabs.models.clients import Client
from pipelabs.models.envelopes import EncryptionContext, Envelope

LABEL_LENGTH = 100
MAC_BYTES = 34
SIGNED = (
    "id",
    "client_id",
    "exchange",
    "label",
    "is_testnet",
    "ip_note",
    "expires_at",
    "stage",
    "status",
    "last_four",
    "fingerprint",
    "fields",
    "replaces_id",
    "destroy_at",
    "permissions",
    "failure",
    "examined_at",
    "accepted_reason",
    "accepted_by",
    "accepted_at",
    "altered_at",
    "version",
)
"""Columns that the signature covers. The credentials prove themselves; the rest decides nothing.

A change of this list invalidates every signature, so it needs a migration that signs again.
"""
IP_NOTE_LENGTH = 500


def last_day(expires_at: datetime | None) -> date | None:
    """Return the last day of use of something that expires at this time."""
    return expires_at and (expires_at - timedelta(microseconds=1)).date()


def end_of_day(day: date) -> datetime:
    """Return when something expires whose last day of use is this day."""
    return datetime.combine(day + timedelta(days=1), time.min, UTC)


class KeyStatus(StrEnum):
    """Whether a key may be used to trade: only a verified key may."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    QUARANTINED = "quarantined"
    REVOKED = "revoked"


class KeyStage(StrEnum):
    """Stage in the life of a key: under each label one is live and one may be a candidate.

    A superseded key is retained for 24 hours for a roll-back; then its secrets are destroyed.
    """

    CANDIDATE = "candidate"
    LIVE = "live"
    SUPERSEDED = "superseded"
    DESTROYED = "destroyed"


class ExchangeAPIKey(Identified, Base):
    """A client's key to an exchange, under a label; its credentials are one encrypted document."""

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
            "ix_exchange_api_keys_status",
            "status",
            "created_at",
            "id",
            postgresql_where=text("stage <> 'destroyed'"),
        ),
        Index(
            "ix_exchange_api_keys_destroyed",
            "created_at",
            "id",
            postgresql_where=text("stage = 'destroyed'"),
        ),
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
        # For searches.
        Index(
            "ix_exchange_api_keys_lower_last_four",
            literal_column("lower(last_four)").label("lower_last_four"),
        ),
        Index(
            "ix_exchange_api_keys_lower_label",
            literal_column("lower(label)").label("lower_label"),
            postgresql_ops={"lower_label": "text_pattern_ops"},
        ),
        CheckConstraint(f"char_length(label) BETWEEN 1 AND {LABEL_LENGTH}", name="label_length"),
        CheckConstraint(
            "(stage = 'destroyed') = (credentials IS NULL)", name="encrypted_or_destroyed"
        ),
        CheckConstraint("(credentials IS NULL) = (kek_version IS NULL)", name="kek_version_known"),
        CheckConstraint(
            "(stage = 'superseded') = (destroy_at IS NOT NULL)", name="superseded_until"
        ),
        CheckConstraint(
            "kek_version BETWEEN 1 AND 65535 AND"
            " substring(credentials FROM 2 FOR 2) = substring(int4send(kek_version) FROM 3)",
            name="kek_version_of_credentials",
        ),
        CheckConstraint(f"octet_length(mac) = {MAC_BYTES}", name="mac_length"),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"), index=True)
    exchange: Mapped[str] = mapped_column(ForeignKey("exchanges.slug"), index=True)
    label: Mapped[str]
    is_testnet: Mapped[bool] = mapped_column(default=False)
    # The IP addresses that may use the key, as free text.
    ip_note: Mapped[str] = mapped_column(default="")
    expires_at: Mapped[datetime | None]
    stage: Mapped[KeyStage] = mapped_column(default=KeyStage.LIVE)
    status: Mapped[KeyStatus] = mapped_column(default=KeyStatus.UNVERIFIED)
    last_four: Mapped[str]
    # HMAC of exchange and API key: finds the same account of two clients without decrypting.
    fingerprint: Mapped[bytes] = mapped_column(index=True)
    # The names of the encrypted credentials, as in `Credential`.
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    credentials: Mapped[Envelope | None]
    # The version of the key-encryption key, so that rows per version can be counted.
    kek_version: Mapped[int | None]
    # The key that this one will replace, or has replaced.
    replaces_id: Mapped[UUID | None] = mapped_column(ForeignKey("exchange_api_keys.id"), index=True)
    destroy_at: Mapped[datetime | None]
    # What the exchange reported: permission → verdict and evidence.
    permissions: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    # Why the last probe failed, or None.
    failure: Mapped[str | None]
    examined_at: Mapped[datetime | None]
    examined_ms: Mapped[float | None]
    # Why two owners accepted the risk that the key may be able to withdraw.
    accepted_reason: Mapped[str | None]
    accepted_by: Mapped[str | None]
    accepted_at: Mapped[datetime | None]
    # When the service noticed that the row was changed by something else; acceptance clears it.
    altered_at: Mapped[datetime | None]
    # Version of the key ring (2 bytes), and HMAC-SHA256 of the columns in `SIGNED`.
    mac: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime] = mapped_column(default=now)

    client: Mapped[Client] = relationship(lazy="joined", innerjoin=True)

    # Set by `vault.signing` when a row is loaded; `stored_status` if it is not valid.
    proof = Proof.VALID
    stored_status = KeyStatus.UNVERIFIED

    @property
    def context(self) -> EncryptionContext:
        """Return the context that the credentials are encrypted with."""
        return EncryptionContext.of_key(self)

    @property
    def ciphertext(self) -> bytes | None:
        """Return what identifies the credentials: only a replacement changes it, not a re-wrap."""
        return self.credentials.ciphertext if self.credentials else None

    @property
    def expires_on(self) -> date | None:
        """Return the last day on which the key can be used."""
        return last_day(self.expires_at)

    @property
    def has_expired(self) -> bool:
        """Return whether the stored expiry has passed."""
        return self.expires_at is not None and self.expires_at <= now()

    @property
    def masked(self) -> str:
        """Return the API key with all but its last four characters masked."""
        return f"••••{self.last_four}"
