"""Request and response schemas of clients' markets, and the commands that they load into."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marshmallow import Schema, fields, post_load, validate

from pipelabs.core.commands import UNSET, Unset
from pipelabs.core.schemas.decimals import Amount
from pipelabs.core.schemas.edits import EditForm, PartialUpdate
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField, Input, PlainText, Timestamp
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.markets.schemas.token_pairs import EXCHANGE_SYMBOL, SYMBOL, SymbolField
from pipelabs.models.token_pairs import (
    EXCHANGE_SYMBOL_LENGTH,
    Bot,
    MarketStatus,
    QuotingStatus,
    Symbol,
)

MAX_AT_ONCE = 500
MAX_SPREAD_BPS = Decimal(10_000)
"""The whole price."""
BOT = {"label": "Bot", "example": "market_maker"}
SPREAD = {
    "label": "Spread target (bps)",
    "description": "From bid to ask, in hundredths of a percent of the price.",
    "example": "40",
}
VOLUME = {
    "label": "Daily volume target",
    "description": "In the quote asset.",
    "example": "250000",
}
QUOTING = {"label": "Status", "example": "paused"}


class TermsFields:
    """The fields of how a client is quoted."""

    bot = EnumField(Bot, load_default=Bot.MARKET_MAKER, metadata=BOT)
    spread_target_bps = Amount(
        load_default=None, is_positive=True, max=MAX_SPREAD_BPS, metadata=SPREAD
    )
    daily_volume_target = Amount(load_default=None, metadata=VOLUME)


class ListingFields:
    """The fields of the market in which a client is quoted."""

    symbol = SymbolField(required=True, metadata=SYMBOL)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)
    exchange_symbol = PlainText(
        load_default=None, min=1, max=EXCHANGE_SYMBOL_LENGTH, metadata=EXCHANGE_SYMBOL
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClientMarket:
    """A market to add to a client."""

    symbol: Symbol
    exchange: str
    exchange_symbol: str | None
    bot: Bot
    spread_target_bps: Decimal | None
    daily_volume_target: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMarketChanges:
    """Changes of a client's market."""

    bot: Bot | Unset = UNSET
    spread_target_bps: Decimal | Unset | None = UNSET
    daily_volume_target: Decimal | Unset | None = UNSET
    status: QuotingStatus | Unset = UNSET


class ClientMarketItem(TermsFields, ListingFields, Input):
    """A market to add to a client. Pair and market are created if they do not exist."""

    @post_load
    def to_command(self, data: Mapping[str, Any], **_: object) -> NewClientMarket:
        """Return the command."""
        return NewClientMarket(**data)


class ClientMarketsIn(Input):
    """The body that adds markets to a client: all of them, or none if one is wrong."""

    markets = fields.List(
        fields.Nested(ClientMarketItem),
        required=True,
        validate=validate.Length(1, MAX_AT_ONCE, error="Must have {min} to {max} entries."),
    )


class ClientMarketPatch(TermsFields, PartialUpdate):
    """The body that changes a client's market. Omitted fields stay, and null empties a target."""

    command = ClientMarketChanges

    status = EnumField(QuotingStatus, metadata=QUOTING)


class ClientMarketEdit(TermsFields, EditForm):
    """The form that changes a client's market. Loads as `ClientMarketChanges` and a version."""

    command = ClientMarketChanges

    status = EnumField(QuotingStatus, required=True, metadata=QUOTING)


class ClientMarketsQuery(ListQuery):
    """Filters of the list of a client's markets."""

    exchange = ExchangeSlug(metadata={"description": "Slug or alias."})
    status = EnumField(QuotingStatus)


class ClientMarketOut(Schema):
    """A client's market."""

    id = fields.UUID()
    market_id = fields.UUID()
    symbol = fields.String(metadata=SYMBOL)
    exchange = fields.String(metadata=EXCHANGE)
    exchange_symbol = fields.String(metadata=EXCHANGE_SYMBOL)
    market_status = EnumField(MarketStatus)
    bot = EnumField(Bot, metadata=BOT)
    spread_target_bps = Amount(allow_none=True, metadata=SPREAD)
    daily_volume_target = Amount(allow_none=True, metadata=VOLUME)
    status = EnumField(QuotingStatus)
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()
    updated_at = Timestamp()


class ClientMarketsAdded(Success):
    """The added markets, in the order in which they were sent."""

    message = fields.String(metadata={"example": "1 market added"})
    client_markets = fields.List(fields.Nested(ClientMarketOut))


class ClientMarketShown(Success):
    """One market of a client."""

    client_market = fields.Nested(ClientMarketOut)


class ClientMarketsListed(Success):
    """A page of a client's markets."""

    data = fields.List(fields.Nested(ClientMarketOut))
    page = fields.Nested(PageOut)
