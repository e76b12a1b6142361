"""Request and response schemas of markets, and the commands that they load into."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from marshmallow import Schema, fields, post_load

from pipelabs.core.commands import UNSET, Unset
from pipelabs.core.schemas.decimals import Amount
from pipelabs.core.schemas.edits import EditForm, PartialUpdate
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import Checkbox, EnumField, Input, PlainText
from pipelabs.core.schemas.pagination import ListQuery, PageOut, SearchText
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.markets.schemas.token_pairs import (
    EXCHANGE_SYMBOL,
    NOTIONAL,
    STEP,
    SYMBOL,
    TICK,
    MarketOut,
    SymbolField,
)
from pipelabs.models.token_pairs import EXCHANGE_SYMBOL_LENGTH, MarketStatus, Symbol

STATUS = {"label": "Status", "example": "halted"}


class MarketFields:
    """The fields that an admin fills in, in the order of the form."""

    symbol = SymbolField(required=True, metadata=SYMBOL)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)
    exchange_symbol = PlainText(
        load_default=None, min=1, max=EXCHANGE_SYMBOL_LENGTH, metadata=EXCHANGE_SYMBOL
    )
    price_tick = Amount(load_default=None, is_positive=True, metadata=TICK)
    amount_step = Amount(load_default=None, is_positive=True, metadata=STEP)
    min_notional = Amount(load_default=None, metadata=NOTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMarket:
    """A market to create; without an exchange symbol, the exchange's rule gives it."""

    symbol: Symbol
    exchange: str
    exchange_symbol: str | None
    price_tick: Decimal | None
    amount_step: Decimal | None
    min_notional: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketChanges:
    """Changes of a market."""

    exchange_symbol: str | Unset = UNSET
    price_tick: Decimal | Unset | None = UNSET
    amount_step: Decimal | Unset | None = UNSET
    min_notional: Decimal | Unset | None = UNSET
    status: MarketStatus | Unset = UNSET


class MarketIn(MarketFields, Input):
    """The body that creates a market. Its token pair is created if it does not exist."""

    @post_load
    def to_command(self, data: Mapping[str, Any], **_: object) -> NewMarket:
        """Return the command."""
        return NewMarket(**data)


class MarketChangeFields(MarketFields):
    """The fields of a change. The exchange symbol can't be emptied."""

    command: ClassVar[type] = MarketChanges
    unchangeable: ClassVar[tuple[str, ...]] = ("symbol", "exchange")

    exchange_symbol = PlainText(
        required=True,
        min=1,
        max=EXCHANGE_SYMBOL_LENGTH,
        metadata=EXCHANGE_SYMBOL | {"description": "As the exchange writes the pair."},
    )


class MarketPatch(MarketChangeFields, PartialUpdate):
    """The body that changes a market. Omitted fields stay, and null empties a field."""

    status = EnumField(MarketStatus, metadata=STATUS)


class MarketEdit(MarketChangeFields, EditForm):
    """The form that changes a market. Loads as `MarketChanges` and a version."""


class MarketStatusEdit(Input):
    """The form that halts, delists or lists a market, with the version that the page showed.

    `resume` is for listing a delisted market again.
    """

    status = EnumField(MarketStatus, required=True)
    version = fields.Integer(required=True, metadata={"widget": "hidden"})
    resume = Checkbox(load_default=False)


class MarketsQuery(ListQuery):
    """Filters of the list of markets."""

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
    """A market after an update, and the clients whose quoting it ended."""

    market = fields.Nested(MarketOut)
    affected_count = fields.Integer(
        metadata={"example": 0, "description": "The number of clients whose quoting ended."}
    )
    affected_clients = fields.List(
        fields.Nested(ClientNamed),
        metadata={"description": "Up to 50 of these clients, by name."},
    )


class MarketsListed(Success):
    """A page of markets."""

    data = fields.List(fields.Nested(MarketOut))
    page = fields.Nested(PageOut)
