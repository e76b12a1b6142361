"""Token pairs, markets, and the markets in which clients are quoted."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, false, literal_column
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pipelabs.models.base import Base, Identified, now
from pipelabs.models.clients import Client

AMOUNT = Numeric(38, 18)
"""20 digits before the point and 18 after it, as many as an ERC-20 token has."""
ASSET_LENGTH = 24
LETTERS = r"[A-Z0-9$\u0080-\U0010FFFF]+"
"""Letters and digits of an asset: upper-case Latin or of another script, and the dollar sign.

PostgreSQL's classes of characters depend on its locale, so other scripts are checked in Python.
"""
# Not `:_`, which SQLAlchemy takes for a parameter.
BASE_ASSET = f"^{LETTERS}([._:-]{LETTERS})*$"
OTHER_ASSET = f"^{LETTERS}([._-]{LETTERS})*$"
"""A quote or a settlement asset, which has no colon, because one separates the two."""
EXCHANGE_SYMBOL_LENGTH = 64
SEARCHED_SYMBOL = "lower(((base_asset || '/') || quote_asset) || COALESCE(':' || settle_asset, ''))"
"""The symbol in lower case, as searches compare it, written as PostgreSQL prints it."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """The base and quote asset of a pair, and the settlement asset of a swap."""

    base_asset: str
    quote_asset: str
    settle_asset: str | None = None

    @property
    def text(self) -> str:
        """Return the symbol as text: `BTC/USDT`, or `BTC/USDT:USDT` for a swap."""
        spot = f"{self.base_asset}/{self.quote_asset}"
        return f"{spot}:{self.settle_asset}" if self.settle_asset else spot


class MarketStatus(StrEnum):
    """Status of a market. Delisted markets are kept as a record of who was quoted there."""

    TRADING = "trading"
    HALTED = "halted"
    DELISTED = "delisted"


class Bot(StrEnum):
    """The bot that runs in a client's market."""

    MARKET_MAKER = "market_maker"
    VOLUME_GENERATOR = "volume_generator"
    BOTH = "both"


class QuotingStatus(StrEnum):
    """Whether a client is quoted in a market. Only delisting the market sets `delisted`."""

    ACTIVE = "active"
    PAUSED = "paused"
    DELISTED = "delisted"


class TokenPairSort(StrEnum):
    """Sort orders of the list of token pairs; a minus sign sorts in descending order."""

    SYMBOL = "symbol"
    SYMBOL_DOWN = "-symbol"
    CREATED_AT = "created_at"
    CREATED_AT_DOWN = "-created_at"


def _asset_constraint(column: str, form: str) -> CheckConstraint:
    return CheckConstraint(
        f"{column} ~ '{form}' AND char_length({column}) <= {ASSET_LENGTH}"
        f" AND {column} IS NFC NORMALIZED",
        name=f"{column}_form",
    )


class TokenPair(Identified, Base):
    """A base and a quote asset, independent of exchanges. A swap also has a settlement asset."""

    __tablename__ = "token_pairs"
    __table_args__ = (
        Index(
            "uq_token_pairs_symbol",
            "base_asset",
            "quote_asset",
            "settle_asset",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        # For searches of any part of the symbol.
        Index(
            "ix_token_pairs_searched",
            literal_column(SEARCHED_SYMBOL).label("searched"),
            postgresql_using="gin",
            postgresql_ops={"searched": "gin_trgm_ops"},
        ),
        # For its beginning: LIKE needs this operator class whatever the locale of the database.
        Index(
            "ix_token_pairs_base_asset",
            "base_asset",
            postgresql_ops={"base_asset": "text_pattern_ops"},
        ),
        _asset_constraint("base_asset", BASE_ASSET),
        _asset_constraint("quote_asset", OTHER_ASSET),
        _asset_constraint("settle_asset", OTHER_ASSET),
        CheckConstraint("base_asset <> quote_asset", name="assets_differ"),
    )

    base_asset: Mapped[str]
    quote_asset: Mapped[str]
    settle_asset: Mapped[str | None]

    @property
    def symbol(self) -> str:
        """Return the symbol as text: `BTC/USDT`, or `BTC/USDT:USDT` for a swap."""
        return Symbol(self.base_asset, self.quote_asset, self.settle_asset).text


class Market(Identified, Base):
    """A token pair on one exchange. Amounts are None until an admin enters them."""

    __tablename__ = "markets"
    __table_args__ = (
        Index("uq_markets_symbol", "token_pair_id", "exchange", unique=True),
        # Not unique, because an exchange may write a pair and its swap alike.
        Index("ix_markets_exchange_symbol", "exchange", "exchange_symbol"),
        # For searches without an exchange.
        Index(
            "ix_markets_lower_exchange_symbol",
            literal_column("lower(exchange_symbol)").label("lower_exchange_symbol"),
            postgresql_ops={"lower_exchange_symbol": "text_pattern_ops"},
        ),
        CheckConstraint(
            f"char_length(exchange_symbol) BETWEEN 1 AND {EXCHANGE_SYMBOL_LENGTH}",
            name="exchange_symbol_length",
        ),
        CheckConstraint("price_tick > 0", name="price_tick_positive"),
        CheckConstraint("amount_step > 0", name="amount_step_positive"),
        CheckConstraint("min_notional >= 0", name="min_notional_positive"),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    token_pair_id: Mapped[UUID] = mapped_column(ForeignKey("token_pairs.id"))
    exchange: Mapped[str] = mapped_column(ForeignKey("exchanges.slug"))
    # As the exchange writes the pair, such as BTCUSDT or XBT/USD.
    exchange_symbol: Mapped[str]
    price_tick: Mapped[Decimal | None] = mapped_column(AMOUNT)
    amount_step: Mapped[Decimal | None] = mapped_column(AMOUNT)
    # In the quote asset.
    min_notional: Mapped[Decimal | None] = mapped_column(AMOUNT)
    status: Mapped[MarketStatus] = mapped_column(default=MarketStatus.TRADING)
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime] = mapped_column(default=now)

    token_pair: Mapped[TokenPair] = relationship(lazy="joined", innerjoin=True)

    @property
    def symbol(self) -> str:
        """Return the symbol of the pair."""
        return self.token_pair.symbol


class ClientMarket(Identified, Base):
    """A market in which a client is quoted, with its bot and the targets of the desk."""

    __tablename__ = "client_markets"
    __table_args__ = (
        Index("uq_client_markets_market", "client_id", "market_id", unique=True),
        Index("ix_client_markets_client_id_status", "client_id", "status"),
        # With the client, so that those of a market are counted from the index.
        Index("ix_client_markets_market_id_status", "market_id", "status", "client_id"),
        CheckConstraint("spread_target_bps > 0", name="spread_target_positive"),
        CheckConstraint("daily_volume_target >= 0", name="daily_volume_positive"),
        CheckConstraint("version >= 1", name="version_positive"),
    )

    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"))
    bot: Mapped[Bot] = mapped_column(default=Bot.MARKET_MAKER)
    # From bid to ask, in hundredths of a percent of the price.
    spread_target_bps: Mapped[Decimal | None] = mapped_column(AMOUNT)
    # Per day, in the quote asset.
    daily_volume_target: Mapped[Decimal | None] = mapped_column(AMOUNT)
    status: Mapped[QuotingStatus] = mapped_column(default=QuotingStatus.ACTIVE)
    # Delisting its market ended active quoting, which can be resumed once the market is relisted.
    was_active: Mapped[bool] = mapped_column(default=False, server_default=false())
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime] = mapped_column(default=now)

    market: Mapped[Market] = relationship(lazy="joined", innerjoin=True)
    client: Mapped[Client] = relationship()

    @property
    def symbol(self) -> str:
        """Return the symbol of the pair."""
        return self.market.symbol

    @property
    def exchange(self) -> str:
        """Return the slug of the market's exchange."""
        return self.market.exchange

    @property
    def exchange_symbol(self) -> str:
        """Return the symbol of the pair on the exchange."""
        return self.market.exchange_symbol

    @property
    def market_status(self) -> MarketStatus:
        """Return the status of the market."""
        return self.market.status
