"""Fields that several schemas of machines use."""

import re
from enum import StrEnum
from typing import Any

from marshmallow import fields

from pipelabs.agent import protocol
from pipelabs.core.schemas.fields import OpenAPIField, PlainText
from pipelabs.core.text import trim
from pipelabs.models.machines import NAME_LENGTH

MACHINE_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9.-]{{0,{NAME_LENGTH - 2}}}[a-z0-9])?", re.ASCII)
MAX_EPOCH = 2**31 - 1
REASON = {"label": "Reason", "example": "The host is being replaced."}


class MachineName(OpenAPIField, fields.String):
    """The name of a machine. It is in logs and commands, so it needs no escapes."""

    default_error_messages = PlainText.default_error_messages | {
        "name": "Use 1 to 64 lower-case letters, digits, hyphens and dots, such as quoter-1."
    }

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the pattern."""
        return {"pattern": f"^{MACHINE_NAME.pattern}$", "maxLength": NAME_LENGTH}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not MACHINE_NAME.fullmatch(trim(value)):
            raise self.make_error("name")
        return trim(value)


class PublicKey(OpenAPIField, fields.Field[bytes]):
    """A public key of 32 bytes as base64url without padding."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages | {
        "key": "Must be a public key: 32 bytes as base64url without padding."
    }

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the length."""
        return {"minLength": 43, "maxLength": 43}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> bytes:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        try:
            key = protocol.decode(value) if value.isascii() else b""
        except ValueError:
            key = b""
        if len(key) != protocol.KEY_BYTES:
            raise self.make_error("key")
        return key


class SealingKey(PublicKey):
    """An X25519 key. Those of low order, with which anyone could open credentials, are rejected."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> bytes:
        key = super()._deserialize(value, attr, data, **rest)
        if not protocol.can_seal(key):
            raise self.make_error("key")
        return key


class RowID(fields.UUID):
    """The id of a row."""

    default_error_messages = PlainText.default_error_messages | {
        "invalid_uuid": "This is not an id."
    }


class YesNo(StrEnum):
    """A filter that is on or off."""

    YES = "yes"
    NO = "no"
