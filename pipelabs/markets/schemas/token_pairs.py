"""Request and response schemas of token pairs."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from pipelabs.core.schemas.decimals import Amount
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField, Input, OpenAPIField, PlainText, Timestamp
from pipelabs.core.schemas.pagination import ListQuery, PageOut, SearchText
from pipelabs.exchanges import registry
from pipelabs.exchanges.schemas import EXCHANGE
from pipelabs.markets.symbols import SymbolError, parse
from pipelabs.models.exchanges import SymbolStyle
from pipelabs.models.token_pairs import MarketStatus, Symbol, TokenPairSort

SYMBOL = {
    "label": "Symbol",
    "description": "Such as BTC/USDT, or BTC/USDT:USDT for a swap settled in USDT.",
    "example": "BTC/USDT",
}
EXCHANGE_SYMBOL = {
    "label": "Exchange symbol",
    "description": "As the exchange writes the pair. Leave empty if it follows a rule.",
    "example": "BTC-USDT",
}
TICK = {"label": "Price tick", "description": "In the quote asset.", "example": "0.1"}
STEP = {"label": "Amount step", "description": "In the base asset.", "example": "0.0001"}
NOTIONAL = {
    "label": "Minimum notional",
    "description": "The smallest order, in the quote asset.",
    "example": "5",
}


class SymbolField(OpenAPIField, fields.Field[Symbol]):
    """A symbol in any common spelling. Loads as a `Symbol`.

    Next to a field `exchange`, it is also read as that exchange writes it.
    """

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> Symbol:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        try:
            return parse(value, _find_style(data))
        except SymbolError as error:
            raise ValidationError(str(error)) from None


def _find_style(data: Any) -> SymbolStyle | None:
    """Return how the exchange that the data names writes symbols; None if it names none."""
    name = data.get("exchange") if isinstance(data, Mapping) else None
    exchange = registry.find(name) if isinstance(name, str) else None
    return exchange.symbol_style if exchange else None


class TokenPairIn(Input):
    """The body that creates a token pair."""

    symbol = SymbolField(required=True, metadata=SYMBOL)


class TokenPairsQuery(ListQuery):
    """Filters and sort order of the list of token pairs."""

    q = SearchText(
        load_default="", metadata={"description": "Part of the symbol, in any spelling."}
    )
    sort = EnumField(
        TokenPairSort,
        load_default=TokenPairSort.SYMBOL,
        metadata={"description": "A minus sign sorts in descending order."},
    )


class TokenPairOut(Schema):
    """A base and a quote asset, independent of exchanges."""

    id = fields.UUID()
    symbol = fields.String(metadata=SYMBOL)
    base_asset = fields.String(metadata={"example": "BTC"})
    quote_asset = fields.String(metadata={"example": "USDT"})
    settle_asset = fields.String(
        allow_none=True, metadata={"example": None, "description": "Swaps only."}
    )
    created_at = Timestamp()


class MarketOut(Schema):
    """A token pair on one exchange."""

    id = fields.UUID()
    token_pair_id = fields.UUID()
    symbol = fields.String(metadata=SYMBOL)
    exchange = fields.String(metadata=EXCHANGE)
    exchange_symbol = fields.String(metadata=EXCHANGE_SYMBOL)
    price_tick = Amount(allow_none=True, metadata=TICK)
    amount_step = Amount(allow_none=True, metadata=STEP)
    min_notional = Amount(allow_none=True, metadata=NOTIONAL)
    status = EnumField(MarketStatus)
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()
    updated_at = Timestamp()


class TokenPairCreated(Success):
    """A new token pair."""

    message = fields.String(metadata={"example": "Token pair created"})
    token_pair = fields.Nested(TokenPairOut)


class TokenPairShown(Success):
    """One token pair and its markets."""

    token_pair = fields.Nested(TokenPairOut)
    markets = fields.List(fields.Nested(MarketOut))


class TokenPairsListed(Success):
    """A page of token pairs."""

    data = fields.List(fields.Nested(TokenPairOut))
    page = fields.Nested(PageOut)
