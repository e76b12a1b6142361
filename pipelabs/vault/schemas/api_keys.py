"""Exchange API keys as callers send and see them; nothing secret is among what they see."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

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
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.exchanges import registry
from pipelabs.exchanges.schemas import EXCHANGE, ExchangeSlug
from pipelabs.models.api_keys import IP_NOTE_LENGTH, LABEL_LENGTH, KeyStage, KeyStatus
from pipelabs.models.exchanges import Credential
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
EXPIRES_ON = {
    "label": "Expires on",
    "description": "YYYY-MM-DD, UTC. Leave out if there is none or the exchange reports it.",
    "example": "2027-05-31",
}
NO_ID: dict[str, Any] = {
    "invalid_uuid": "This is not an id.",
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


class Day(OpenAPIField, fields.Field[datetime]):
    """A date; loads as the first moment after it, in UTC."""

    openapi_type = "string"
    openapi_format = "date"

    default_error_messages = PlainText.default_error_messages | {
        "invalid": "Must be a date such as 2027-05-31."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> datetime:
        try:
            day = date.fromisoformat(value.strip()) + timedelta(days=1)
        except (AttributeError, ValueError, OverflowError, TypeError):
            raise self.make_error("invalid") from None
        return datetime.combine(day, time(), UTC)


class KeyNote(Input):
    """What the desk notes of a key."""

    ip_note = PlainText(load_default="", max=IP_NOTE_LENGTH, lines=True, metadata=IP_NOTE)
    expires_on = Day(load_default=None, metadata=EXPIRES_ON, attribute="expires_at")


class KeyIn(CredentialsIn, KeyNote):
    """What an admin sends to add a key; `expires_on` loads as `expires_at`."""

    client_id = fields.UUID(required=True, metadata=CLIENT_ID, error_messages=NO_ID)
    exchange = ExchangeSlug(required=True, metadata=EXCHANGE)
    label = PlainText(load_default="main", min=1, max=LABEL_LENGTH, metadata=LABEL)
    is_testnet = StrictBoolean(load_default=False, metadata={"label": "Testnet", "example": False})

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def judge_shape(
        self, data: Mapping[str, Any], original: Mapping[str, Any], **_: object
    ) -> None:
        """Refuse a key without a part that its exchange asks for, or with one that it has not."""
        if known := registry.find(str(data.get("exchange", ""))):
            sent = {part for part in Credential if original.get(part) not in (None, "")}
            if wrong := known.check_fields(sent):
                raise ValidationError(wrong)


class KeyReplacement(CredentialsIn, KeyNote):
    """What an admin sends to replace a key; client, exchange and label are the old one's."""


class KeyPatch(Body):
    """What an admin may change of a key; for other credentials replace it."""

    label = PlainText(min=1, max=LABEL_LENGTH, metadata=LABEL)
    ip_note = PlainText(allow_none=True, max=IP_NOTE_LENGTH, lines=True, metadata=IP_NOTE)
    expires_on = Day(allow_none=True, metadata=EXPIRES_ON, attribute="expires_at")

    @post_load
    def empty_note(self, data: Mapping[str, Any], **_: object) -> dict[str, Any]:
        """Store no note as an empty text."""
        return {**data, "ip_note": data["ip_note"] or ""} if "ip_note" in data else dict(data)


class Acceptance(Input):
    """Why an owner takes the risk of a key of which nobody knows whether it can withdraw."""

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
    """How many days to look ahead, as a query string has it."""

    default_error_messages = {"days": "Must be a whole number from 1 to 365."}  # noqa: RUF012 - marshmallow's own form

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> int:
        is_number = isinstance(value, str) and value.isascii() and value.isdigit()
        if not is_number or len(value) > 3 or not 1 <= int(value) <= MAX_DAYS_AHEAD:
            raise self.make_error("days")
        return int(value)


class KeysQuery(ListQuery):
    """Which keys are wanted, the newest first; those destroyed only if their stage is asked for."""

    client_id = fields.UUID(metadata=CLIENT_ID, error_messages=NO_ID)
    exchange = ExchangeSlug(metadata=EXCHANGE)
    status = EnumField(KeyStatus, metadata={"label": "Status"})
    stage = EnumField(KeyStage, metadata={"label": "Stage"})


class ExpiringQuery(ListQuery):
    """How far to look ahead."""

    days = DaysAhead(load_default=14, metadata={"label": "Days", "description": "1 to 365."})


class Holder(Schema):
    """A client who has a key to the same account."""

    key_id = fields.UUID()
    client_id = fields.UUID()
    name = fields.String(metadata={"example": "Client Name"})


class RightOut(Schema):
    """What the exchange says of one right, in its own words."""

    verdict = fields.String(metadata={"example": "no", "description": "yes, no or unknown."})
    evidence = fields.String(
        allow_none=True,
        metadata={"example": "perm=read_only,trade", "description": "The exchange's raw field."},
    )


class KeyOut(Schema):
    """A key without anything secret; `api_key` is masked."""

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
    ip_note = fields.String(metadata=IP_NOTE)
    expires_at = Timestamp(allow_none=True)
    permissions = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(RightOut),
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
    kek_version = fields.Integer(
        allow_none=True, metadata={"example": 1, "description": "Key-ring version."}
    )
    replaces_id = fields.UUID(allow_none=True)
    destroy_at = Timestamp(allow_none=True)
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()
    updated_at = Timestamp()


class KeyShown(Success):
    """One key, and which other clients have the same account."""

    api_key = fields.Nested(KeyOut)
    shared_with = fields.List(fields.Nested(Holder))


class KeysListed(Success):
    """A page of keys."""

    api_keys = fields.List(fields.Nested(KeyOut))
    shared = fields.List(
        fields.UUID(),
        metadata={"description": "Ids of keys whose account has keys of other clients."},
    )
    page = fields.Nested(PageOut)
