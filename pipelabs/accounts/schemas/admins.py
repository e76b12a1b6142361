"""Schemas of admins: sign-in, own account, and management by owners."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from pipelabs.accounts.commands import AdminChanges, Credentials, NewAdmin, NewPassword
from pipelabs.approvals.schemas import ApprovalOut
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import (
    Checkbox,
    EmailAddress,
    EnumField,
    Input,
    Password,
    Query,
    StrictBoolean,
    Timestamp,
)
from pipelabs.core.schemas.pagination import BooleanFilter, PageOut
from pipelabs.models.permissions import Role

ROLE = {
    "label": "Role",
    "description": "Viewers read. Operators also change clients, markets and API keys. Owners also"
    " manage admins and exchanges.",
    "example": "operator",
}
EMAIL = {"label": "Email", "example": "operator@desk.local"}


class SignIn(Input):
    """Sign-in credentials."""

    email = EmailAddress(required=True, metadata=EMAIL)
    password = Password(
        required=True, metadata={"label": "Password", "example": "a long quiet evening"}
    )

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> Credentials:
        """Return the command."""
        return Credentials(**data)


class PasswordChange(Input):
    """Current and new password."""

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

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> NewPassword:
        """Return the command."""
        return NewPassword(**data)


class AdminFields:
    """The fields of an admin, in the order of the form."""

    email = EmailAddress(required=True, metadata=EMAIL)
    role = EnumField(Role, required=True, metadata=ROLE)


class AdminIn(AdminFields, Input):
    """An admin to create."""

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> NewAdmin:
        """Return the command."""
        return NewAdmin(**data)


class RoleChange(AdminFields, Input):
    """The form that changes an admin's role."""

    class Meta:
        """An admin's e-mail address never changes."""

        exclude = ("email",)

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> AdminChanges:
        """Return the command."""
        return AdminChanges(**data)


class AdminPatch(AdminFields, Input):
    """Changes of an admin; at least one field."""

    class Meta:
        """An admin's e-mail address never changes."""

        exclude = ("email",)

    is_disabled = StrictBoolean(metadata={"example": False})

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Make every field optional."""
        field_obj.required = False

    @validates_schema
    def reject_empty(self, data: Mapping[str, object], **_: object) -> None:
        """Reject an update without any field."""
        if not data:
            raise ValidationError({name: ["Send at least one field."] for name in self.fields})

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> AdminChanges:
        """Return the command."""
        return AdminChanges(**data)


class PasswordReset(Input):
    """The form that resets a password."""

    revoke_tokens = Checkbox(
        load_default=False,
        metadata={"label": "Revoke their API tokens too", "widget": "checkbox"},
    )


class PasswordResetQuery(Query):
    """The query string of a call that resets a password."""

    revoke_tokens = BooleanFilter(
        load_default=False,
        metadata={"description": "Also revoke the API tokens of the admin."},
    )


class AdminOut(Schema):
    """An admin without secrets."""

    id = fields.UUID()
    email = fields.String(metadata=EMAIL)
    role = EnumField(Role)


class SignedIn(Success):
    """The tokens of a session. `expires_in` is the lifetime of the access token in seconds."""

    access_token = fields.String(metadata={"example": "eyJhbGciOiJIUzI1NiIs…"})
    refresh_token = fields.String(metadata={"example": "eyJhbGciOiJIUzI1NiIs…"})
    expires_in = fields.Integer(metadata={"example": 900})
    admin = fields.Nested(AdminOut)


class BudgetLeft(Schema):
    """The remaining quota of a budget. The oldest request stops counting after `reset_s`."""

    limit = fields.Integer()
    remaining = fields.Integer()
    window_s = fields.Integer()
    reset_s = fields.Integer()


QUOTA = {
    "batch": {"limit": 10, "remaining": 10, "window_s": 60, "reset_s": 0},
    "create": {"limit": 20, "remaining": 19, "window_s": 60, "reset_s": 17},
    "general": {"limit": 100, "remaining": 99, "window_s": 60, "reset_s": 17},
    "console": {"limit": 300, "remaining": 300, "window_s": 60, "reset_s": 0},
}


class Me(Success):
    """The authenticated admin, its permissions, and the remaining quota of each budget."""

    admin = fields.Nested(AdminOut)
    permissions = fields.List(
        fields.String(), metadata={"example": ["clients.read", "self.read", "self.write"]}
    )
    quota = fields.Dict(
        keys=fields.String(), values=fields.Nested(BudgetLeft), metadata={"example": QUOTA}
    )


class SessionOut(Schema):
    """An active session. `seen_at` is accurate to the minute."""

    id = fields.UUID()
    address = fields.String(metadata={"example": "192.0.2.7"})
    user_agent = fields.String(metadata={"example": "curl/8.5.0"})
    created_at = Timestamp()
    seen_at = Timestamp(allow_none=True)
    expires_at = Timestamp()


class SessionList(Success):
    """A page of the active sessions of an admin. `current` is this one, null for an API token."""

    data = fields.List(fields.Nested(SessionOut))
    page = fields.Nested(PageOut)
    current = fields.UUID(allow_none=True)


class AdminFull(AdminOut):
    """An admin as an owner sees it."""

    is_disabled = fields.Boolean(metadata={"example": False})
    must_change_password = fields.Boolean(metadata={"example": False})
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()


class AdminShown(Success):
    """One admin."""

    admin = fields.Nested(AdminFull)


class AdminChanged(AdminShown):
    """One admin, and the request for what another owner has to approve first."""

    approval = fields.Nested(ApprovalOut, allow_none=True)


class AdminList(Success):
    """A page of admins."""

    data = fields.List(fields.Nested(AdminFull))
    page = fields.Nested(PageOut)


class OneTimePassword(AdminShown):
    """An admin and its one-time password, which is only shown here."""

    password = fields.String(metadata={"example": "k7fqm-2xw9p-hcz4t-nb8ge"})
    password_expires_at = Timestamp()


class PasswordWasReset(OneTimePassword):
    """An admin, its one-time password, and how many of its API tokens are not revoked."""

    live_tokens = fields.Integer(
        metadata={"description": "They work again once the password is changed.", "example": 2}
    )
