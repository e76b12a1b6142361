"""Markets as callers send and see them."""

from marshmallow import Schema, fields

from pipelabs.core.schemas.decimals import Amount
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import Body, EnumField, Input, PlainText
from pipelabs.core.schemas.pagination import ListQuery, PageOut, SearchText
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.markets.schemas.token_pairs import (
    NOTIONAL,
    SPELLED,
    STEP,
    SYMBOL,
    TICK,
    MarketOut,
    SymbolField,
)
from pipelabs.models.token_pairs import EXCHANGE_SYMBOL_LENGTH, MarketStatus

STATUS = {"label": "Status", "example": "halted"}


class MarketIn(Input):
    """What an admin sends to create a market; the token pair is made on the way."""

    symbol = SymbolField(required=True, metadata=SYMBOL)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)
    exchange_symbol = PlainText(
        load_default=None, min=1, max=EXCHANGE_SYMBOL_LENGTH, metadata=SPELLED
    )
    price_tick = Amount(load_default=None, is_positive=True, metadata=TICK)
    amount_step = Amount(load_default=None, is_positive=True, metadata=STEP)
    min_notional = Amount(load_default=None, metadata=NOTIONAL)


class MarketEdit(Input):
    """All that a form sends to change a market, and the version that it was filled from."""

    exchange_symbol = PlainText(
        required=True,
        min=1,
        max=EXCHANGE_SYMBOL_LENGTH,
        metadata={"label": "Exchange symbol", "description": "As the exchange writes the pair."},
    )
    price_tick = Amount(load_default=None, is_positive=True, metadata=TICK)
    amount_step = Amount(load_default=None, is_positive=True, metadata=STEP)
    min_notional = Amount(load_default=None, metadata=NOTIONAL)
    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class MarketMove(Input):
    """What a form sends to halt, delist or list a market, and the version it was drawn from."""

    status = EnumField(MarketStatus, required=True)
    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class MarketPatch(Body):
    """What an admin sends to change a market; what is left out stays, null empties."""

    exchange_symbol = PlainText(min=1, max=EXCHANGE_SYMBOL_LENGTH, metadata=SPELLED)
    price_tick = Amount(allow_none=True, is_positive=True, metadata=TICK)
    amount_step = Amount(allow_none=True, is_positive=True, metadata=STEP)
    min_notional = Amount(allow_none=True, metadata=NOTIONAL)
    status = EnumField(MarketStatus, metadata=STATUS)


class MarketsQuery(ListQuery):
    """Which markets are wanted."""

    q = SearchText(
        load_default="",
        metadata={"description": "Part of the symbol or of the exchange symbol."},
    )
    exchange = ExchangeSlug(metadata={"description": "Slug or alias."})
    status = EnumField(MarketStatus)


class ClientNamed(Schema):
    """A client by id and name."""

    id = fields.UUID()
    name = fields.String(metadata={"example": "Client Name"})


class MarketCreated(Success):
    """A new market."""

    message = fields.String(metadata={"example": "Market created"})
    market = fields.Nested(MarketOut)


class MarketShown(Success):
    """One market."""

    market = fields.Nested(MarketOut)


class MarketChanged(Success):
    """A market as it is now, and whose quoting its delisting has ended."""

    market = fields.Nested(MarketOut)
    affected_clients = fields.List(fields.Nested(ClientNamed))


class MarketsListed(Success):
    """A page of markets."""

    markets = fields.List(fields.Nested(MarketOut))
    page = fields.Nested(PageOut)
