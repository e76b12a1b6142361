"""Clients, for whom the desk makes markets."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, Text, literal_column, text, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column

from pipelabs.models.base import Base, Identified, now

NAME_LENGTH = 255
NOTES_LENGTH = 1_000
EMAIL_LENGTH = 254
"""The longest address that SMTP can carry (RFC 5321, 4.5.3.1.3, less the angle brackets)."""
SETTINGS_BYTES = 16 * 1024
SEARCH_TEXT = "lower((((name || '\n') || wallet_address) || '\n') || COALESCE(email, ''))"
"""The text that a search looks in, a field per line.

Written as PostgreSQL prints it, so that a migration can be compared with the database.
"""
LOWER_NAME = 'lower(name) COLLATE "C"'
"""Sort key of a list by name.

In the order of code points, so that one index also finds names by their beginning, whatever the
locale of the database.
"""
SYMBOLS = """ARRAY(
  SELECT DISTINCT base_asset || '/' || quote_asset || COALESCE(':' || settle_asset, '')
  FROM client_markets
  JOIN markets ON markets.id = market_id
  JOIN token_pairs ON token_pairs.id = token_pair_id
  WHERE client_id = clients.id AND client_markets.status <> 'delisted'
)"""
"""Symbols of the pairs in which a client is quoted.

As text, because the models of these tables import this one.
"""


class Chain(StrEnum):
    """Network of a wallet. All EVM networks share one address format."""

    EVM = "evm"
    SOLANA = "solana"
    BITCOIN = "bitcoin"
    TRON = "tron"


class Tier(StrEnum):
    """Service tier of a client."""

    BASIC = "Basic"
    STANDARD = "Standard"
    PREMIUM = "Premium"
    ENTERPRISE = "Enterprise"


class Status(StrEnum):
    """Status of a client."""

    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    OFFBOARDED = "offboarded"


class ClientSort(StrEnum):
    """Sort orders of the list of clients; a minus sign sorts in descending order."""

    CREATED_AT = "created_at"
    CREATED_AT_DOWN = "-created_at"
    NAME = "name"
    NAME_DOWN = "-name"
    UPDATED_AT = "updated_at"
    UPDATED_AT_DOWN = "-updated_at"


class Client(Identified, Base):
    """A customer of the desk, identified by one wallet."""

    __tablename__ = "clients"
    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {NAME_LENGTH}", name="name_length"),
        CheckConstraint("char_length(wallet_address) BETWEEN 1 AND 128", name="wallet_length"),
        CheckConstraint(
            "chain <> 'evm' OR wallet_address ~ '^0x[0-9a-fA-F]{40}$'", name="wallet_evm"
        ),
        CheckConstraint("email = lower(email)", name="email_folded"),
        CheckConstraint(f"char_length(email) <= {EMAIL_LENGTH}", name="email_length"),
        CheckConstraint(f"char_length(notes) <= {NOTES_LENGTH}", name="notes_length"),
        CheckConstraint("jsonb_typeof(settings) = 'object'", name="settings_object"),
        CheckConstraint(f"octet_length(settings::text) <= {SETTINGS_BYTES}", name="settings_size"),
        CheckConstraint("version >= 1", name="version_positive"),
        Index("ix_clients_created_at_id", "created_at", "id"),
        # Without the chain that most clients have, which costs a create of such a client nothing.
        Index(
            "ix_clients_chain",
            "chain",
            "created_at",
            "id",
            postgresql_where=text("chain <> 'evm'"),
        ),
        # Alembic compares expressions without their collation, so it stands in the next place.
        Index(
            "ix_clients_lower_name_id",
            literal_column("lower(name)").label("lower_name"),
            "id",
            postgresql_ops={"lower_name": 'COLLATE "C"'},
        ),
        Index(
            "ix_clients_searched",
            literal_column(SEARCH_TEXT).label("searched"),
            postgresql_using="gin",
            postgresql_ops={"searched": "gin_trgm_ops"},
        ),
        Index("ix_clients_status_tier", "status", "tier"),
        Index("ix_clients_updated_at_id", "updated_at", "id"),
    )

    name: Mapped[str]
    wallet_address: Mapped[str] = mapped_column(unique=True)
    chain: Mapped[Chain]
    email: Mapped[str | None] = mapped_column(unique=True)
    tier: Mapped[Tier] = mapped_column(default=Tier.STANDARD)
    status: Mapped[Status] = mapped_column(default=Status.ACTIVE)
    notes: Mapped[str] = mapped_column(default="")
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    # Loaded only by queries that show them. None in a new row.
    symbols: Mapped[Sequence[str]] = column_property(
        type_coerce(literal_column(SYMBOLS), ARRAY(Text)), deferred=True
    )
