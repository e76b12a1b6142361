"""Signing in, and what an admin sees of itself."""

from marshmallow import Schema, fields

from pipelabs.models.admins import Role
from pipelabs.schemas.clients import Answer
from pipelabs.schemas.fields import Choice, EmailAddress, Input, Password


class SignIn(Input):
    """Who says to be there, and the proof."""

    email = EmailAddress(required=True, metadata={"label": "Email"})
    password = Password(required=True, metadata={"label": "Password"})


class AdminOut(Schema):
    """An admin without anything secret."""

    id = fields.UUID()
    email = fields.String()
    role = Choice(Role)


class SignedIn(Answer):
    """The tokens of a new session; `expires_in` is the access token's life in seconds."""

    access_token = fields.String()
    refresh_token = fields.String()
    expires_in = fields.Integer()
    admin = fields.Nested(AdminOut)


class BudgetLeft(Schema):
    """What is left of a budget, and in how many seconds its oldest use is forgotten."""

    limit = fields.Integer()
    remaining = fields.Integer()
    window_s = fields.Integer()
    reset_s = fields.Integer()


class Me(Answer):
    """Who is signed in, what the role allows, and what is left of each budget."""

    admin = fields.Nested(AdminOut)
    permissions = fields.List(fields.String())
    quota = fields.Dict(keys=fields.String(), values=fields.Nested(BudgetLeft))
