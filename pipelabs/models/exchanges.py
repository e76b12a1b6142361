"""Exchanges on which the desk makes markets, and their settings."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from pipelabs.models.base import Base, now

CONFIG_BYTES = 4 * 1024


class Kind(StrEnum):
    """What can be traded on an exchange."""

    SPOT = "spot"
    DERIVATIVES = "derivatives"
    BOTH = "both"


class SymbolStyle(StrEnum):
    """How an exchange writes `BTC/USDT`.

    `quote_dash` has the quote asset first. `own` has no rule, so each symbol has to be entered.
    """

    JOINED = "joined"
    LOWER_JOINED = "lower_joined"
    DASH = "dash"
    QUOTE_DASH = "quote_dash"
    UNDERSCORE = "underscore"
    LOWER_UNDERSCORE = "lower_underscore"
    SLASH = "slash"
    OWN = "own"


class Credential(StrEnum):
    """A field of an exchange API key; ccxt has other names for some."""

    API_KEY = "api_key"
    API_SECRET = "api_secret"
    PASSPHRASE = "passphrase"
    UID = "uid"
    ACCOUNT_ID = "account_id"
    LOGIN = "login"
    TOKEN = "token"
    PRIVATE_KEY = "private_key"
    WALLET_ADDRESS = "wallet_address"
    TWO_FACTOR = "two_factor"


class Exchange(Base):
    """An exchange. `is_enabled` and `config` are set by the desk, the rest comes from the registry.

    Rows are never deleted, because markets and keys refer to them.
    """

    __tablename__ = "exchanges"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]{1,40}$'", name="slug_form"),
        CheckConstraint("jsonb_typeof(config) = 'object'", name="config_object"),
        CheckConstraint(f"octet_length(config::text) <= {CONFIG_BYTES}", name="config_size"),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[Kind]
    website: Mapped[str]
    docs_url: Mapped[str]
    symbol_style: Mapped[SymbolStyle]
    # The fields of a key, in the order of a form: `Credential`.
    credentials: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # Other names it is found by. Nothing else refers to them.
    aliases: Mapped[list[str]] = mapped_column(ARRAY(Text))
    has_testnet: Mapped[bool]
    is_enabled: Mapped[bool] = mapped_column(default=True)
    # The fields of `exchanges.schemas.ConfigFields`: amounts as text, unset ones left out.
    config: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def needs_passphrase(self) -> bool:
        """Return whether a key there has a passphrase."""
        return "passphrase" in self.credentials
