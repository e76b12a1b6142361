"""Who is quoted where, as callers send and see it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from pipelabs.core.schemas.decimals import Amount
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import Body, EnumField, Input, PlainText, Timestamp
from pipelabs.core.schemas.pagination import ListQuery, PageOut, SearchText
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.markets.schemas.markets import ClientNamed
from pipelabs.markets.schemas.token_pairs import SPELLED, SYMBOL, SymbolField
from pipelabs.models.token_pairs import EXCHANGE_SYMBOL_LENGTH, Bot, MarketStatus, QuotingStatus

MAX_AT_ONCE = 500
MAX_SPREAD_BPS = Decimal(10_000)
"""All of the price."""
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


class ClientMarketItem(Input):
    """A market in which a client shall be quoted; pair and market are made on the way."""

    symbol = SymbolField(required=True, metadata=SYMBOL)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)
    exchange_symbol = PlainText(
        load_default=None, min=1, max=EXCHANGE_SYMBOL_LENGTH, metadata=SPELLED
    )
    bot = EnumField(Bot, load_default=Bot.MARKET_MAKER, metadata=BOT)
    spread_target_bps = Amount(
        load_default=None, is_positive=True, max=MAX_SPREAD_BPS, metadata=SPREAD
    )
    daily_volume_target = Amount(load_default=None, metadata=VOLUME)


class ClientMarketsIn(Input):
    """In which markets a client shall be quoted: all of them, or none if one is wrong."""

    markets = fields.List(
        fields.Nested(ClientMarketItem),
        required=True,
        validate=validate.Length(1, MAX_AT_ONCE, error="Must have {min} to {max} entries."),
    )


class SymbolLines(fields.Field[list[Any]]):
    """A pair a line, each maybe with `=` and the exchange's own spelling after it."""

    default_error_messages = PlainText.default_error_messages | {
        "count": f"Must be 1 to {MAX_AT_ONCE} lines.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> list[Any]:
        lines = {place: line for place, line in enumerate(value.splitlines(), 1) if line.strip()}
        if not 1 <= len(lines) <= MAX_AT_ONCE:
            raise self.make_error("count")
        wrong, found = [], []
        for place, line in lines.items():
            try:
                found.append(self._line(line))
            except ValidationError as error:
                wrong += [f"Line {place}: {sentence}" for sentence in error.messages]
        if wrong:
            raise ValidationError(wrong)
        return found

    def _line(self, line: str) -> dict[str, Any]:
        symbol, equals, spelled = line.partition("=")
        text = PlainText(min=1, max=EXCHANGE_SYMBOL_LENGTH).deserialize(spelled) if equals else None
        return {"symbol": SymbolField().deserialize(symbol), "exchange_symbol": text}


class ClientMarketsForm(Input):
    """What a form sends to have a client quoted in many markets of one exchange."""

    symbols = SymbolLines(
        required=True,
        metadata={
            "label": "Symbols",
            "description": "One per line, such as BTC/USDT or BTC/USDT:USDT. If the exchange symbol"
            " does not follow a rule, add it: BTC/USDT = XBTUSDT.",
            "widget": "textarea",
        },
    )
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)
    bot = EnumField(Bot, load_default=Bot.MARKET_MAKER, metadata=BOT)
    spread_target_bps = Amount(
        load_default=None, is_positive=True, max=MAX_SPREAD_BPS, metadata=SPREAD
    )
    daily_volume_target = Amount(load_default=None, metadata=VOLUME)


def items_of(form: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what `ClientMarketItem` would load, one for each line of the form."""
    shared = {name: value for name, value in form.items() if name != "symbols"}
    return (line | shared for line in form["symbols"])


class ClientMarketEdit(Input):
    """All that a form sends to change one, and the version that it was filled from."""

    bot = EnumField(Bot, required=True, metadata=BOT)
    spread_target_bps = Amount(
        load_default=None, is_positive=True, max=MAX_SPREAD_BPS, metadata=SPREAD
    )
    daily_volume_target = Amount(load_default=None, metadata=VOLUME)
    status = EnumField(QuotingStatus, required=True, metadata=QUOTING)
    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class ClientMarketPatch(Body):
    """What an admin sends to change one; what is left out stays, null empties a target."""

    bot = EnumField(Bot, metadata=BOT)
    spread_target_bps = Amount(
        allow_none=True, is_positive=True, max=MAX_SPREAD_BPS, metadata=SPREAD
    )
    daily_volume_target = Amount(allow_none=True, metadata=VOLUME)
    status = EnumField(QuotingStatus, metadata=QUOTING)


class ClientMarketsQuery(ListQuery):
    """Which of a client's markets are wanted."""

    exchange = ExchangeSlug(metadata={"description": "Slug or alias."})
    status = EnumField(QuotingStatus)


class MatrixQuery(ListQuery):
    """Which part of the matrix is wanted; without a status, what is delisted is not counted."""

    q = SearchText(
        load_default="",
        metadata={"description": "Part of the client's name, wallet or e-mail address."},
    )
    exchange = ExchangeSlug(metadata={"description": "Slug or alias."})
    status = EnumField(QuotingStatus)


class ClientMarketOut(Schema):
    """One client quoted in one market."""

    id = fields.UUID()
    market_id = fields.UUID()
    symbol = fields.String(metadata=SYMBOL)
    exchange = fields.String(metadata=EXCHANGE)
    exchange_symbol = fields.String(metadata=SPELLED)
    market_status = EnumField(MarketStatus)
    bot = EnumField(Bot, metadata=BOT)
    spread_target_bps = Amount(allow_none=True, metadata=SPREAD)
    daily_volume_target = Amount(allow_none=True, metadata=VOLUME)
    status = EnumField(QuotingStatus)
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()
    updated_at = Timestamp()


class ClientMarketsAdded(Success):
    """In which markets a client is quoted from now on, in the order in which they were sent."""

    message = fields.String(metadata={"example": "1 market added"})
    client_markets = fields.List(fields.Nested(ClientMarketOut))


class ClientMarketShown(Success):
    """One client quoted in one market."""

    client_market = fields.Nested(ClientMarketOut)


class ClientMarketsListed(Success):
    """A page of a client's markets."""

    client_markets = fields.List(fields.Nested(ClientMarketOut))
    page = fields.Nested(PageOut)


class MatrixRow(Schema):
    """In how many pairs a client is quoted, by exchange."""

    client = fields.Nested(ClientNamed)
    counts = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"example": {"okx": 12}}
    )
    total = fields.Integer(metadata={"example": 12})


class MatrixShown(Success):
    """Clients by exchanges, a page of clients at a time."""

    exchanges = fields.List(fields.String(metadata=EXCHANGE))
    rows = fields.List(fields.Nested(MatrixRow))
    page = fields.Nested(PageOut)
