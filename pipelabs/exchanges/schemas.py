"""Request and response schemas of exchanges, and the commands that they load into."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from pipelabs.core.commands import UNSET, Unset
from pipelabs.core.schemas.decimals import Amount
from pipelabs.core.schemas.edits import EditForm
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
MAX_FEE_BPS = Decimal(10_000)
"""The whole price."""
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
    """The slug or an alias of an exchange, in any case. Loads as the slug."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages | {
        "exchange": "There is no such exchange."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not (exchange := registry.find(value)):
            raise self.make_error("exchange")
        return exchange.slug


class CanBeProbed(fields.Boolean):
    """Whether the exchange can be asked for the permissions of an API key."""

    # The table has no such column.
    _CHECK_ATTRIBUTE = False

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> bool:
        return registry.can_be_probed(obj.slug)


class ObjectField(fields.Nested):
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


class ConfigFields:
    """The settings of an exchange, in the order of the form."""

    maker_fee_bps = Amount(load_default=None, min=-MAX_FEE_BPS, max=MAX_FEE_BPS, metadata=MAKER_FEE)
    taker_fee_bps = Amount(load_default=None, max=MAX_FEE_BPS, metadata=TAKER_FEE)
    min_notional = Amount(load_default=None, metadata=MIN_NOTIONAL)
    requests_per_minute = WholeNumber(load_default=None, min=1, max=MAX_REQUESTS, metadata=REQUESTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChanges:
    """Changes of the settings of an exchange; None unsets one."""

    maker_fee_bps: Decimal | Unset | None = UNSET
    taker_fee_bps: Decimal | Unset | None = UNSET
    min_notional: Decimal | Unset | None = UNSET
    requests_per_minute: int | Unset | None = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeChanges:
    """Changes of an exchange."""

    is_enabled: bool | Unset = UNSET
    config: ConfigChanges | Unset = UNSET


class ExchangeConfig(ConfigFields, Input):
    """All settings of an exchange. Omitted and null ones are unset."""

    @post_load
    def to_command(self, data: Mapping[str, Any], **_: object) -> ConfigChanges:
        """Return the command, which sets or unsets every setting."""
        return ConfigChanges(**data)


class ExchangeEdit(ConfigFields, EditForm):
    """The form that configures an exchange. Loads as `ConfigChanges` and a version."""

    command = ConfigChanges

    requests_per_minute = WholeNumber(
        load_default=None, min=1, max=MAX_REQUESTS, is_form_field=True, metadata=REQUESTS
    )


class StatusChange(Input):
    """The form of a confirm page, with the version that the page showed."""

    version = fields.Integer(required=True, metadata={"widget": "hidden"})


class ExchangePatch(Body):
    """The body that changes an exchange. It needs at least one field."""

    is_enabled = StrictBoolean(metadata={"example": True})
    config = ObjectField(
        ExchangeConfig,
        metadata={"description": "Replaces all settings. Omitted ones are unset."},
    )

    @validates_schema
    def reject_empty_body(self, data: Mapping[str, object], **_: object) -> None:
        """Reject a body without any field."""
        if not data:
            raise ValidationError({name: ["Send at least one field."] for name in self.fields})

    @post_load
    def to_command(self, data: Mapping[str, Any], **_: object) -> ExchangeChanges:
        """Return the command."""
        return ExchangeChanges(**data)


class ExchangesQuery(ListQuery):
    """Filters of the list of exchanges."""

    q = SearchText(
        load_default="", metadata={"description": "Part of the name, the slug or an alias."}
    )
    kind = EnumField(Kind)
    is_enabled = BooleanFilter()


class ConfigOut(Schema):
    """The settings of an exchange; null if unset."""

    maker_fee_bps = fields.String(dump_default=None, allow_none=True, metadata=MAKER_FEE)
    taker_fee_bps = fields.String(dump_default=None, allow_none=True, metadata=TAKER_FEE)
    min_notional = fields.String(dump_default=None, allow_none=True, metadata=MIN_NOTIONAL)
    requests_per_minute = fields.Integer(dump_default=None, allow_none=True, metadata=REQUESTS)


class ExchangeOut(Schema):
    """An exchange: facts from the registry and settings of the desk."""

    slug = fields.String(metadata=SLUG)
    name = fields.String(metadata={"example": "OKX"})
    kind = EnumField(Kind, metadata={"description": "What can be traded there.", "example": "both"})
    website = fields.String(metadata={"example": "https://www.okx.com"})
    docs_url = fields.String(metadata={"example": "https://www.okx.com/docs-v5/en"})
    symbol_style = EnumField(
        SymbolStyle,
        metadata={
            "description": "How BTC/USDT is written: `joined` is BTCUSDT, `dash` is BTC-USDT,"
            " `quote_dash` is USDT-BTC, `own` follows no rule.",
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
    """Counts of an exchange."""

    markets = fields.Integer(metadata={"example": 12})
    clients = fields.Integer(
        metadata={"example": 7, "description": "Clients quoted on this exchange."}
    )
    api_keys = fields.Integer(metadata={"example": 9})
    counted_at = Timestamp(metadata={"description": "Up to 15 s ago."})


class ExchangeShown(Success):
    """One exchange."""

    exchange = fields.Nested(ExchangeOut)
    counts = fields.Nested(CountsOut)


class ExchangeChanged(Success):
    """One exchange after an update."""

    exchange = fields.Nested(ExchangeOut)


class ExchangesListed(Success):
    """A page of exchanges."""

    data = fields.List(fields.Nested(ExchangeOut))
    page = fields.Nested(PageOut)
