"""API tokens as their owners send and see them."""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load

from pipelabs.models.admins import Permission
from pipelabs.schemas.clients import Answer
from pipelabs.schemas.fields import Choice, Input, PlainText, When
from pipelabs.schemas.paging import PageOut

MOST_ADDRESSES = 20
LONGEST_DAYS = 365
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


class Network(fields.Field[IPv4Network | IPv6Network]):
    """An IP address or a network in CIDR form."""

    default_error_messages = PlainText.default_error_messages

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, **rest: Any
    ) -> IPv4Network | IPv6Network:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        try:
            return ip_network(value.strip(" "))
        except ValueError:
            raise ValidationError(
                f"{value[:50]!r} is no IP address and no network such as 192.0.2.0/24."
            ) from None


class Several(fields.List[Any]):
    """A short list; what is wrong with it is told in sentences, like that of any other field."""

    default_error_messages = PlainText.default_error_messages | {
        "invalid": "Must be a list.",
        "count": "Must have {least} to {most} entries.",
    }

    def __init__(self, inner: fields.Field[Any], *, least: int = 0, most: int, **rest: Any) -> None:
        """`least` and `most` count entries."""
        super().__init__(inner, **rest)
        self.least = least
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if not self.least <= len(value) <= self.most:
            raise self.make_error("count", least=self.least, most=self.most)
        try:
            return super()._deserialize(value, attr, data, **rest)
        except ValidationError as error:
            wrong = error.messages_dict.values()
            sentences = [sentence for found in wrong for sentence in found]
            raise ValidationError(list(dict.fromkeys(sentences))) from None


class Days(fields.Integer):
    """How many days, as a number."""

    default_error_messages = PlainText.default_error_messages | {
        "days": f"Must be a whole number from 1 to {LONGEST_DAYS}."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> int:
        if type(value) is not int or not 1 <= value <= LONGEST_DAYS:
            raise self.make_error("days")
        return value


class TokenIn(Input):
    """What an admin sends to make a token."""

    name = PlainText(required=True, least=1, most=100, metadata=NAME)
    permissions = Several(
        Choice(Permission), least=1, most=len(Permission), required=True, metadata=PERMISSIONS
    )
    addresses = Several(Network(), most=MOST_ADDRESSES, load_default=list, metadata=ADDRESSES)
    expires_in_days = Days(load_default=90, metadata=DAYS)


class Lines(Several):
    """A short list as a form sends it: its entries apart by white space."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> list[Any]:
        return super()._deserialize(value.split(), attr, data, **rest)


class Lifetime(StrEnum):
    """For how many days a form offers a token."""

    WEEK = "7"
    MONTH = "30"
    QUARTER = "90"
    HALF = "180"
    YEAR = "365"


class TokenForm(Input):
    """What the form of a token sends; loads as `TokenIn` does."""

    name = PlainText(required=True, least=1, most=100, metadata=NAME)
    permissions = Lines(
        Choice(Permission), least=1, most=len(Permission), required=True, metadata=PERMISSIONS
    )
    addresses = Lines(
        Network(),
        most=MOST_ADDRESSES,
        load_default=list,
        metadata=ADDRESSES | {"widget": "textarea"},
    )
    expires_in_days = Choice(Lifetime, load_default=Lifetime.QUARTER, metadata=DAYS)

    @post_load
    def count_days(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Turn the choice into a number."""
        return data | {"expires_in_days": int(data["expires_in_days"])}


class TokenOut(Schema):
    """A token without its text; `last_used_at` is right to the minute."""

    id = fields.UUID()
    name = fields.String(metadata=NAME)
    prefix = fields.String(metadata={"example": TEXT[:9]})
    last_four = fields.String(metadata={"example": TEXT[-4:]})
    permissions = fields.List(fields.String(), metadata=PERMISSIONS)
    addresses = fields.List(fields.String(), metadata=ADDRESSES)
    created_at = When()
    expires_at = When()
    last_used_at = When(allow_none=True)
    last_address = fields.String(allow_none=True, metadata={"example": "192.0.2.7"})


class TokenCreated(Answer):
    """A new token, and its text, which is shown this once."""

    token = fields.Nested(TokenOut)
    text = fields.String(metadata={"example": TEXT})


class TokenShown(Answer):
    """One token."""

    token = fields.Nested(TokenOut)


class TokenList(Answer):
    """One page of an admin's tokens."""

    tokens = fields.List(fields.Nested(TokenOut))
    page = fields.Nested(PageOut)
