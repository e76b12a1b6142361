"""Schemas of exchange API keys; responses contain no secrets."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from pipelabs.core.schemas.dates import DateOrTime
from pipelabs.core.schemas.edits import PartialUpdate
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import (
    EnumField,
    Input,
    OptionalText,
    PlainText,
    StrictBoolean,
    Timestamp,
)
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.exchanges import registry
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.models.api_keys import IP_NOTE_LENGTH, LABEL_LENGTH, KeyStage, KeyStatus
from pipelabs.models.exchanges import Credential
from pipelabs.vault.commands import KeyChanges, NewKey
from pipelabs.vault.schemas.credentials import CredentialsIn

REASON_LENGTH = 500
MAX_DAYS_AHEAD = 365
LABEL = {
    "label": "Label",
    "description": "Distinguishes several accounts of a client at one exchange.",
    "example": "main",
}
IP_NOTE = {
    "label": "IP allow-list",
    "description": "The IP addresses that may use the key, as set at the exchange.",
    "example": "192.0.2.7",
}
EXPIRES_AT = {
    "label": "Expires on",
    "description": "The last day on which the key works, or a time. Leave it out if there is none"
    " or the exchange reports it.",
    "example": "2027-05-31",
}
NO_ID: dict[str, Any] = {
    "invalid_uuid": "Must be a UUID.",
    "required": "This field is required.",
}
CLIENT_ID = {"label": "Client", "description": "The client whose account it is."}
PERMISSIONS: dict[str, dict[str, str | None]] = {
    "read": {"verdict": "yes", "evidence": "perm=read_only,trade"},
    "trade": {"verdict": "yes", "evidence": "perm=read_only,trade"},
    "futures": {"verdict": "unknown", "evidence": None},
    "transfer": {"verdict": "unknown", "evidence": None},
    "withdraw": {"verdict": "no", "evidence": "perm=read_only,trade"},
    "ip_bound": {"verdict": "yes", "evidence": "ip=192.0.2.7"},
    "expires": {"verdict": "unknown", "evidence": None},
}


class KeyFields(Schema):
    """What the desk writes about a key; the defaults are those of a new key."""

    label = PlainText(load_default="main", min=1, max=LABEL_LENGTH, metadata=LABEL)
    ip_note = PlainText(load_default="", max=IP_NOTE_LENGTH, lines=True, metadata=IP_NOTE)
    expires_at = DateOrTime(is_end=True, load_default=None, metadata=EXPIRES_AT)


class KeyReplacement(CredentialsIn, KeyFields):
    """A replacement for a live key; it keeps the client, exchange and label."""

    class Meta:
        """Options of marshmallow."""

        exclude = ("label",)


class KeyIn(CredentialsIn, KeyFields):
    """A new key."""

    command = NewKey

    client_id = fields.UUID(required=True, metadata=CLIENT_ID, error_messages=NO_ID)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)
    is_testnet = StrictBoolean(load_default=False, metadata={"label": "Testnet", "example": False})

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def reject_wrong_credentials(
        self, data: Mapping[str, Any], original: Mapping[str, Any], **_: object
    ) -> None:
        """Reject credentials that the exchange does not use, and name those that are missing."""
        if known := registry.find(str(data.get("exchange", ""))):
            sent = {name for name in Credential if original.get(name) not in (None, "")}
            if errors := known.check_fields(sent):
                raise ValidationError(errors)


class KeyPatch(KeyFields, PartialUpdate):
    """Changes to a key. Fields that are left out stay, null clears a note or the expiry.

    To change the credentials, replace the key.
    """

    command = KeyChanges


class Acceptance(Input):
    """Why the desk should accept the risk that a key may be able to withdraw."""

    reason = PlainText(
        required=True,
        min=10,
        max=REASON_LENGTH,
        lines=True,
        metadata={
            "label": "Reason",
            "description": "Recorded in the audit trail with your name.",
            "example": "Withdrawals are off at Kraken, seen on a call with the client's treasurer.",
        },
    )


class DaysAhead(fields.Integer):
    """A number of days in a query string."""

    default_error_messages = {"days": "Must be a whole number from 1 to 365."}  # noqa: RUF012 - marshmallow's own form

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> int:
        is_number = isinstance(value, str) and value.isascii() and value.isdigit()
        if not is_number or len(value) > 3 or not 1 <= int(value) <= MAX_DAYS_AHEAD:
            raise self.make_error("days")
        return int(value)


class KeysQuery(ListQuery):
    """Filters of a list of keys; destroyed keys need `stage=destroyed` or `status=revoked`."""

    client_id = fields.UUID(metadata=CLIENT_ID, error_messages=NO_ID)
    exchange = ExchangeSlug(metadata=EXCHANGE)
    status = EnumField(KeyStatus, metadata={"label": "Status"})
    stage = EnumField(KeyStage, metadata={"label": "Stage"})


class ExpiringQuery(ListQuery):
    """How many days ahead to list expiring keys."""

    days = DaysAhead(load_default=14, metadata={"label": "Days", "description": "1 to 365."})


class Holder(Schema):
    """Another client's key to the same account."""

    key_id = fields.UUID()
    client_id = fields.UUID()
    name = fields.String(metadata={"example": "Client Name"})


class PermissionOut(Schema):
    """The verdict about a permission, and the exchange's evidence."""

    verdict = fields.String(metadata={"example": "no", "description": "yes, no or unknown."})
    evidence = fields.String(
        allow_none=True,
        metadata={"example": "perm=read_only,trade", "description": "The exchange's raw field."},
    )


class KeyOut(Schema):
    """A key without secrets; `api_key` is masked."""

    id = fields.UUID()
    client_id = fields.UUID()
    client_name = fields.String(attribute="client.name", metadata={"example": "Client Name"})
    exchange = fields.String(metadata=EXCHANGE)
    label = fields.String(metadata=LABEL)
    stage = EnumField(KeyStage)
    status = EnumField(KeyStatus)
    api_key = fields.String(attribute="masked", metadata={"example": "••••only"})
    fields_ = fields.List(
        fields.String(),
        attribute="fields",
        data_key="fields",
        metadata={
            "example": ["api_key", "api_secret", "passphrase"],
            "description": "Encrypted fields.",
        },
    )
    is_testnet = fields.Boolean(metadata={"example": False})
    ip_note = OptionalText(metadata=IP_NOTE)
    expires_at = Timestamp(allow_none=True)
    permissions = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(PermissionOut),
        metadata={"example": PERMISSIONS, "description": "Empty until the exchange has answered."},
    )
    failure = fields.String(
        allow_none=True,
        metadata={"example": None, "description": "Why the last check with the exchange failed."},
    )
    examined_at = Timestamp(allow_none=True)
    examined_ms = fields.Float(allow_none=True, metadata={"example": 812.4})
    accepted_by = fields.String(allow_none=True, metadata={"example": None})
    accepted_at = Timestamp(allow_none=True)
    accepted_reason = fields.String(allow_none=True, metadata={"example": None})
    altered_at = Timestamp(
        allow_none=True,
        metadata={
            "example": None,
            "description": "When the record was found to have been changed outside of this service."
            " The key is quarantined until two owners accept it.",
        },
    )
    kek_version = fields.Integer(
        allow_none=True, metadata={"example": 1, "description": "Key-ring version."}
    )
    replaces_id = fields.UUID(allow_none=True)
    destroy_at = Timestamp(allow_none=True)
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()
    updated_at = Timestamp()


class KeyShown(Success):
    """A key, and the other clients that have a key to the same account."""

    api_key = fields.Nested(KeyOut)
    shared_with = fields.List(fields.Nested(Holder))


class KeysListed(Success):
    """A page of keys."""

    data = fields.List(fields.Nested(KeyOut))
    shared = fields.List(
        fields.UUID(),
        metadata={"description": "Ids of keys whose account has keys of other clients."},
    )
    page = fields.Nested(PageOut)
