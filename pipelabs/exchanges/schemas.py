"""Exchanges as callers name them and see them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from pipelabs.core.schemas.decimals import Amount, plain
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import (
    Body,
    EnumField,
    Input,
    OpenAPIField,
    PlainText,
    StrictBoolean,
    Timestamp,
)
from pipelabs.core.schemas.numbers import WholeNumber
from pipelabs.core.schemas.pagination import BooleanFilter, ListQuery, PageOut, SearchText
from pipelabs.exchanges import registry
from pipelabs.models.exchanges import Kind, SymbolStyle

EXCHANGE = {"label": "Exchange", "example": "okx"}
SLUG = {"example": "okx", "description": "Permanent id in lower case."}
WHOLE = Decimal(10_000)
"""All of a price, in hundredths of a percent."""
MAX_REQUESTS = 100_000
MAKER_FEE = {
    "label": "Maker fee (bps)",
    "description": "Fee of an order that rests in the book, in basis points. Negative for a"
    " rebate.",
    "example": "2",
}
TAKER_FEE = {
    "label": "Taker fee (bps)",
    "description": "Fee of an order that is filled immediately, in basis points.",
    "example": "5.5",
}
MIN_NOTIONAL = {
    "label": "Minimum notional",
    "description": "Smallest price times amount of an order, in the quote asset. A market can"
    " override it.",
    "example": "10",
}
REQUESTS = {
    "label": "Requests per minute",
    "description": "Rate limit for all of the desk's calls to this exchange.",
    "example": 1200,
}


class ExchangeSlug(OpenAPIField, fields.Field[str]):
    """An exchange by its slug or an alias of it, in any case; loads as the slug."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages | {
        "exchange": "There is no such exchange."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not (found := registry.find(value)):
            raise self.make_error("exchange")
        return found.slug


class CanBeProbed(fields.Boolean):
    """Whether the exchange can be asked which permissions an API key has."""

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **rest: Any) -> bool:
        """Return the registry's answer; the row of the exchange has no such column."""
        return registry.can_be_probed(obj.slug)


class Part(fields.Nested):
    """An object in a body."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "null": "Must be an object; an empty one unsets everything.",
        "object": "Must be an object.",
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, partial: Any = None, **rest: Any
    ) -> Any:
        if not isinstance(value, Mapping):
            raise self.make_error("object")
        return super()._deserialize(value, attr, data, partial, **rest)


class ExchangeConfig(Input):
    """What the desk has set for an exchange; loads as it is stored, amounts as text.

    What is left out or null is unset.
    """

    maker_fee_bps = Amount(min=-WHOLE, max=WHOLE, metadata=MAKER_FEE)
    taker_fee_bps = Amount(max=WHOLE, metadata=TAKER_FEE)
    min_notional = Amount(metadata=MIN_NOTIONAL)
    requests_per_minute = WholeNumber(min=1, max=MAX_REQUESTS, metadata=REQUESTS)

    @post_load
    def as_stored(self, data: Mapping[str, Any], **_: object) -> dict[str, Any]:
        """Return what JSON holds exactly."""
        return {
            name: plain(value) if isinstance(value, Decimal) else value
            for name, value in data.items()
        }


class ExchangeEdit(ExchangeConfig):
    """All that a form sends to configure an exchange, and the version that it was filled from."""

    requests_per_minute = WholeNumber(
        min=1, max=MAX_REQUESTS, is_form_field=True, metadata=REQUESTS
    )
    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class StatusChange(Input):
    """What a page that asks for a confirmation sends: the version that it was drawn from."""

    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class ExchangePatch(Body):
    """What an owner may change of an exchange; at least one of it."""

    is_enabled = StrictBoolean(metadata={"example": True})
    config = Part(
        ExchangeConfig,
        metadata={"description": "Replaces all settings. Omitted ones are unset."},
    )

    @validates_schema
    def refuse_nothing(self, data: Mapping[str, object], **_: object) -> None:
        """Refuse a change of nothing."""
        if not data:
            raise ValidationError({name: ["Send this field or another."] for name in self.fields})


class ExchangesQuery(ListQuery):
    """Which exchanges are wanted."""

    q = SearchText(
        load_default="", metadata={"description": "Part of the name, the slug or an alias."}
    )
    kind = EnumField(Kind)
    is_enabled = BooleanFilter()


class ConfigOut(Schema):
    """What is set for an exchange; null where nothing is."""

    maker_fee_bps = fields.String(dump_default=None, allow_none=True, metadata=MAKER_FEE)
    taker_fee_bps = fields.String(dump_default=None, allow_none=True, metadata=TAKER_FEE)
    min_notional = fields.String(dump_default=None, allow_none=True, metadata=MIN_NOTIONAL)
    requests_per_minute = fields.Integer(dump_default=None, allow_none=True, metadata=REQUESTS)


class ExchangeOut(Schema):
    """An exchange: what the registry says of it, and what the desk has set."""

    slug = fields.String(metadata=SLUG)
    name = fields.String(metadata={"example": "OKX"})
    kind = EnumField(Kind, metadata={"description": "What can be traded there.", "example": "both"})
    website = fields.String(metadata={"example": "https://www.okx.com"})
    docs_url = fields.String(metadata={"example": "https://www.okx.com/docs-v5/en"})
    symbol_style = EnumField(
        SymbolStyle,
        metadata={
            "description": "How BTC/USDT is written: `joined` is BTCUSDT, `dash` is BTC-USDT, `own`"
            " follows no rule.",
            "example": "dash",
        },
    )
    credentials = fields.List(
        fields.String(),
        metadata={
            "description": "Fields of an API key.",
            "example": ["api_key", "api_secret", "passphrase"],
        },
    )
    aliases = fields.List(
        fields.String(),
        metadata={"description": "Other names it is found by.", "example": ["okex"]},
    )
    needs_passphrase = fields.Boolean(metadata={"example": True})
    has_testnet = fields.Boolean(metadata={"example": True})
    can_be_probed = CanBeProbed(
        metadata={
            "description": "Whether the permissions of a key can be checked.",
            "example": True,
        },
    )
    is_enabled = fields.Boolean(
        metadata={"description": "Whether markets and keys can be added.", "example": True}
    )
    config = fields.Nested(ConfigOut)
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()
    updated_at = Timestamp()


class CountsOut(Schema):
    """How much there is at an exchange."""

    markets = fields.Integer(metadata={"example": 12})
    clients = fields.Integer(
        metadata={"example": 7, "description": "Clients quoted on this exchange."}
    )
    api_keys = fields.Integer(metadata={"example": 9})


class ExchangeShown(Success):
    """One exchange."""

    exchange = fields.Nested(ExchangeOut)
    counts = fields.Nested(CountsOut)


class ExchangeChanged(Success):
    """One exchange as it is now."""

    exchange = fields.Nested(ExchangeOut)


class ExchangesListed(Success):
    """A page of exchanges."""

    exchanges = fields.List(fields.Nested(ExchangeOut))
    page = fields.Nested(PageOut)
