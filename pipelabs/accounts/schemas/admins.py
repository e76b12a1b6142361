"""Signing in, what an admin sees of itself, and what an owner sees of all."""

from collections.abc import Mapping

from marshmallow import Schema, ValidationError, fields, validates_schema

from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import (
    EmailAddress,
    EnumField,
    Input,
    Password,
    StrictBoolean,
    Timestamp,
)
from pipelabs.core.schemas.pagination import PageOut
from pipelabs.models.admins import Role

ROLE = {
    "label": "Role",
    "description": "Viewers read. Operators also change clients, markets and API keys. Owners also"
    " manage admins and exchanges.",
    "example": "operator",
}
EMAIL = {"label": "Email", "example": "operator@desk.local"}


class SignIn(Input):
    """Who says to be there, and the proof."""

    email = EmailAddress(required=True, metadata=EMAIL)
    password = Password(
        required=True, metadata={"label": "Password", "example": "a long quiet evening"}
    )


class PasswordChange(Input):
    """The password that counts so far, and the one that shall."""

    current_password = Password(
        required=True,
        metadata={
            "label": "Current password",
            "autocomplete": "current-password",
            "example": "a long quiet evening",
        },
    )
    new_password = Password(
        required=True,
        metadata={
            "label": "New password",
            "autocomplete": "new-password",
            "description": "12 to 128 characters. A few random words work well.",
            "example": "nine slow herons at dusk",
        },
    )


class AdminIn(Input):
    """What an owner sends to create an admin."""

    email = EmailAddress(required=True, metadata=EMAIL)
    role = EnumField(Role, required=True, metadata=ROLE)


class RoleChange(Input):
    """The role that an admin shall have."""

    role = EnumField(Role, required=True, metadata=ROLE)


class AdminPatch(Input):
    """What an owner may change of an admin; at least one of it."""

    role = EnumField(Role, metadata={"label": "Role", "example": "viewer"})
    is_disabled = StrictBoolean(metadata={"example": False})

    @validates_schema
    def refuse_nothing(self, data: Mapping[str, object], **_: object) -> None:
        """Refuse a change of nothing."""
        if not data:
            raise ValidationError({name: ["Send this field or another."] for name in self.fields})


class AdminOut(Schema):
    """An admin without anything secret."""

    id = fields.UUID()
    email = fields.String(metadata=EMAIL)
    role = EnumField(Role)


class SignedIn(Success):
    """The tokens of a new session; `expires_in` is the access token's life in seconds."""

    access_token = fields.String(metadata={"example": "eyJhbGciOiJIUzI1NiIs…"})
    refresh_token = fields.String(metadata={"example": "eyJhbGciOiJIUzI1NiIs…"})
    expires_in = fields.Integer(metadata={"example": 900})
    admin = fields.Nested(AdminOut)


class BudgetLeft(Schema):
    """What is left of a budget, and in how many seconds its oldest use is forgotten."""

    limit = fields.Integer()
    remaining = fields.Integer()
    window_s = fields.Integer()
    reset_s = fields.Integer()


QUOTA = {
    "create": {"limit": 20, "remaining": 19, "window_s": 60, "reset_s": 17},
    "general": {"limit": 100, "remaining": 99, "window_s": 60, "reset_s": 17},
    "console": {"limit": 300, "remaining": 300, "window_s": 60, "reset_s": 0},
}


class Me(Success):
    """Who is signed in, what the role allows, and what is left of each budget."""

    admin = fields.Nested(AdminOut)
    permissions = fields.List(
        fields.String(), metadata={"example": ["clients.read", "self.read", "self.write"]}
    )
    quota = fields.Dict(
        keys=fields.String(), values=fields.Nested(BudgetLeft), metadata={"example": QUOTA}
    )


class SessionOut(Schema):
    """One sign-in that still counts; `seen_at` is right to the minute."""

    id = fields.UUID()
    address = fields.String(metadata={"example": "192.0.2.7"})
    user_agent = fields.String(metadata={"example": "curl/8.5.0"})
    created_at = Timestamp()
    seen_at = Timestamp(allow_none=True)
    expires_at = Timestamp()


class SessionList(Success):
    """The living sessions of an admin, and which of them asks; an API token has none."""

    sessions = fields.List(fields.Nested(SessionOut))
    current = fields.UUID(allow_none=True)


class AdminFull(AdminOut):
    """An admin as an owner sees it."""

    is_disabled = fields.Boolean(metadata={"example": False})
    must_change_password = fields.Boolean(metadata={"example": False})
    created_at = Timestamp()


class AdminShown(Success):
    """One admin."""

    admin = fields.Nested(AdminFull)


class AdminList(Success):
    """One page of the admins."""

    admins = fields.List(fields.Nested(AdminFull))
    page = fields.Nested(PageOut)


class OneTimePassword(AdminShown):
    """An admin, and the password that is shown this once and must be changed at once."""

    password = fields.String(metadata={"example": "k7fqm-2xw9p-hcz4t-nb8ge"})
