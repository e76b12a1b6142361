"""Schemas of API tokens."""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load

from pipelabs.accounts.commands import NewToken
from pipelabs.accounts.permission_words import PresetName
from pipelabs.core.ip_address import parse_ip_network
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import (
    EnumField,
    Input,
    OpenAPIField,
    PlainText,
    Query,
    Timestamp,
    reject_seed_phrase,
)
from pipelabs.core.schemas.lists import BoundedList, LineList
from pipelabs.core.schemas.pagination import PageOut
from pipelabs.models.permissions import Permission

MAX_ADDRESSES = 20
MAX_DAYS = 365
TEXT = "pl_Zr2kQm0c4n1yB9s7XoVtL5hE8wUdGjPaFiRbTzKq3Me"
"""An example."""
NAME = {
    "label": "Name",
    "description": "Which program will use this token?",
    "example": "Nightly onboarding",
}
PERMISSIONS = {
    "label": "Permissions",
    "description": "A token can do at most what you can, and loses what your role loses.",
    "example": ["clients.read", "clients.write"],
}
ADDRESSES = {
    "label": "Allowed IP addresses",
    "description": "IP addresses or networks such as 192.0.2.0/24. Leave empty to allow any.",
    "example": ["192.0.2.0/24"],
}
DAYS = {"label": "Expires in (days)", "example": 90}


class Network(OpenAPIField, fields.Field[IPv4Network | IPv6Network]):
    """An IP address, or a network in CIDR notation."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, **rest: Any
    ) -> IPv4Network | IPv6Network:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        # The sentence below quotes the text.
        reject_seed_phrase(value)
        if network := parse_ip_network(value):
            return network
        raise ValidationError(
            f"{value[:50]!r} is not an IP address or a network such as 192.0.2.0/24."
        )


class Days(OpenAPIField, fields.Integer):
    """A number of days."""

    default_error_messages = PlainText.default_error_messages | {
        "days": f"Must be a whole number from 1 to {MAX_DAYS}."
    }

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the range."""
        return {"minimum": 1, "maximum": MAX_DAYS}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> int:
        if type(value) is not int or not 1 <= value <= MAX_DAYS:
            raise self.make_error("days")
        return value


class TokenFields:
    """The fields of an API token, in the order of the form."""

    name = PlainText(required=True, min=1, max=100, metadata=NAME)
    permissions = BoundedList(
        EnumField(Permission), min=1, max=len(Permission), required=True, metadata=PERMISSIONS
    )
    addresses = BoundedList(Network(), max=MAX_ADDRESSES, load_default=list, metadata=ADDRESSES)
    expires_in_days: fields.Field[Any] = Days(load_default=90, metadata=DAYS)


class TokenIn(TokenFields, Input):
    """An API token to create."""

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> NewToken:
        """Return the command."""
        return NewToken(**data)


class Lifetime(StrEnum):
    """The lifetimes that the form offers, in days."""

    WEEK = "7"
    MONTH = "30"
    QUARTER = "90"
    HALF = "180"
    YEAR = "365"


class TokenForm(TokenFields, Input):
    """The form that creates an API token. Loads as `TokenIn` does."""

    permissions = LineList(
        EnumField(Permission), min=1, max=len(Permission), required=True, metadata=PERMISSIONS
    )
    addresses = LineList(
        Network(),
        max=MAX_ADDRESSES,
        load_default=list,
        metadata=ADDRESSES | {"widget": "textarea"},
    )
    expires_in_days = EnumField(Lifetime, load_default=Lifetime.QUARTER, metadata=DAYS)

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> NewToken:
        """Return the command."""
        return NewToken(**data | {"expires_in_days": int(data["expires_in_days"])})


class PresetChoice(Query):
    """The preset whose permissions the form ticks."""

    preset = EnumField(PresetName)


class TokenOut(Schema):
    """An API token without its text. `last_used_at` is accurate to the minute."""

    id = fields.UUID()
    name = fields.String(metadata=NAME)
    prefix = fields.String(metadata={"example": TEXT[:9]})
    last_four = fields.String(metadata={"example": TEXT[-4:]})
    permissions = fields.List(fields.String(), metadata=PERMISSIONS)
    addresses = fields.List(fields.String(), metadata=ADDRESSES)
    created_at = Timestamp()
    expires_at = Timestamp()
    last_used_at = Timestamp(allow_none=True)
    last_address = fields.String(allow_none=True, metadata={"example": "192.0.2.7"})


class TokenCreated(Success):
    """A new API token and its secret, `token`, which is only shown here."""

    api_token = fields.Nested(TokenOut)
    token = fields.String(metadata={"example": TEXT})


class TokenShown(Success):
    """One API token."""

    api_token = fields.Nested(TokenOut)


class TokenList(Success):
    """A page of an admin's API tokens."""

    data = fields.List(fields.Nested(TokenOut))
    page = fields.Nested(PageOut)
