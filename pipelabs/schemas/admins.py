"""Signing in, and what an admin sees of itself."""

from marshmallow import Schema, fields

from pipelabs.models.admins import Role
from pipelabs.schemas.clients import Answer
from pipelabs.schemas.fields import Choice, EmailAddress, Input, Password

EMAIL = {"label": "Email", "example": "operator@desk.local"}


class SignIn(Input):
    """Who says to be there, and the proof."""

    email = EmailAddress(required=True, metadata=EMAIL)
    password = Password(
        required=True, metadata={"label": "Password", "example": "a long quiet evening"}
    )


class AdminOut(Schema):
    """An admin without anything secret."""

    id = fields.UUID()
    email = fields.String(metadata=EMAIL)
    role = Choice(Role)


class SignedIn(Answer):
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


class Me(Answer):
    """Who is signed in, what the role allows, and what is left of each budget."""

    admin = fields.Nested(AdminOut)
    permissions = fields.List(
        fields.String(), metadata={"example": ["clients.read", "self.read", "self.write"]}
    )
    quota = fields.Dict(
        keys=fields.String(), values=fields.Nested(BudgetLeft), metadata={"example": QUOTA}
    )
