"""Fields that validate and normalise one input value each."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC
from enum import StrEnum
from typing import Any, ClassVar

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from marshmallow import Schema, ValidationError, fields, pre_load

from pipelabs.core.errors import Code
from pipelabs.core.text import (
    SEED_PHRASE,
    find_forbidden,
    find_markup,
    has_seed_phrase,
    is_visible,
    trim,
)
from pipelabs.models.clients import EMAIL_LENGTH

# Internal hosts are named desk.local or x.test; the library has no other way to allow them.
SPECIAL_USE_DOMAIN_NAMES.clear()
EMAIL = {"label": "Email", "example": "email@example.com"}
"""Metadata of every e-mail field."""
PLAIN_EMAIL = re.compile(
    r"(?=[^@]{1,64}@)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
    r"@(?!.*--)(?:(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+[A-Za-z]{2,63}"
)
"""Most addresses. The library accepts them too, but makes 250 calls for one.

The domain has no Punycode and no label like `ab--c`, which the library looks at more closely.
"""


class MarkupSentence(str):
    """An error sentence about markup, which sets the error code of the whole response."""

    __slots__ = ()
    code: Code = "markup_not_allowed"


class Body(Schema):
    """Base of request bodies: unknown fields are errors."""

    error_messages = {"unknown": "There is no such field."}  # noqa: RUF012 - marshmallow's own form


class Input(Body):
    """A body in which null means that an optional field is absent."""

    @pre_load
    def drop_nulls(self, data: object, **_: object) -> object:
        """Drop optional fields that are null. Marshmallow rejects what is not an object."""
        if not isinstance(data, Mapping) or None not in data.values():
            return data
        optional = {name for name, field in self.fields.items() if not field.required}
        return {
            key: value for key, value in data.items() if value is not None or key not in optional
        }


class Query(Schema):
    """Base of query strings: unknown parameters are errors."""

    error_messages = {"unknown": "There is no such parameter."}  # noqa: RUF012 - see `Body`


class OpenAPIField:
    """Mixin for fields that describe themselves in the OpenAPI document."""

    openapi_type: ClassVar[str]
    openapi_format: ClassVar[str | None] = None

    def openapi_constraints(self) -> dict[str, Any]:
        """Return further JSON Schema keywords, such as `maxLength`."""
        return {}


class PlainText(OpenAPIField, fields.String):
    """Text in NFC, trimmed; a single line with single spaces unless `lines` is set."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "required": "This field is required.",
        "null": "This field is required.",
        "invalid": "Must be text.",
        "length": "Must have {min} to {max} characters; this has {count}.",
        "blank": "Must not be empty.",
    }

    def __init__(self, *, min: int = 0, max: int, lines: bool = False, **rest: Any) -> None:
        """`min` and `max` count code points of the normalised text."""
        super().__init__(**rest)
        self.min = min
        self.max = max
        self.lines = lines

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if len(trim(value)) > self.max * 4 + 100:
            # Too long for normalising to make it fit.
            raise self.make_error("length", min=self.min, max=self.max, count=len(value))
        # First, because other sentences quote the text.
        reject_seed_phrase(value)
        text = self._normalise(value)
        if self.min and not any(map(is_visible, text)):
            raise self.make_error("blank")
        if not self.min <= len(text) <= self.max:
            raise self.make_error("length", min=self.min, max=self.max, count=len(text))
        reject_markup(text)
        return text

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the length in code points."""
        return {"minLength": self.min, "maxLength": self.max}

    def _normalise(self, value: str) -> str:
        text = trim(value)
        if self.lines:
            text = text.replace("\r\n", "\n")
        reject_characters(text, allowed="\n" if self.lines else "")
        text = unicodedata.normalize("NFC", text)
        return trim(text) if self.lines else " ".join(text.split())


class OptionalText(fields.String):
    """A text of a response, null if it is empty. Bodies accept null for it too."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(allow_none=True, **rest)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> str | None:
        return super()._serialize(value, attr, obj, **rest) or None


class EmailAddress(OpenAPIField, fields.Field[str]):
    """An ASCII e-mail address in lower case, validated by syntax without DNS."""

    openapi_type = "string"
    openapi_format = "email"

    default_error_messages = PlainText.default_error_messages | {
        "email": "This is not an e-mail address.",
        "ascii": "Use ASCII only; write internationalised domains in Punycode (xn--…).",
        "long": f"An e-mail address has at most {EMAIL_LENGTH} characters.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        text = trim(value)
        if len(text) <= EMAIL_LENGTH and PLAIN_EMAIL.fullmatch(text):
            return text.lower()
        reject_characters(text)
        if not text.isascii():
            raise self.make_error("ascii")
        if len(text) > EMAIL_LENGTH:
            raise self.make_error("long")
        try:
            parsed = validate_email(
                text, check_deliverability=False, allow_smtputf8=False, strict=True
            )
        except EmailNotValidError:
            raise self.make_error("email") from None
        return str(parsed.ascii_email).lower()


class EnumField(OpenAPIField, fields.Field[StrEnum]):
    """A value of an enum, matched case-insensitively. The error lists the choices."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages

    def __init__(self, choices: type[StrEnum], **rest: Any) -> None:
        """`choices` are stored and serialised by value."""
        super().__init__(**rest)
        self.choices = {choice.value.lower(): choice for choice in choices}

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the choices by value."""
        return {"enum": [choice.value for choice in self.choices.values()]}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> Any:
        return value and str(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> StrEnum:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if choice := self.choices.get(trim(value).lower()):
            return choice
        names = ", ".join(choice.value for choice in self.choices.values())
        raise ValidationError(f"Must be one of: {names}.")


class StrictBoolean(fields.Boolean):
    """A JSON boolean. Strings and numbers are rejected."""

    default_error_messages = PlainText.default_error_messages | {
        "invalid": "Must be true or false."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class Checkbox(StrictBoolean):
    """A checkbox, which a browser sends only if it is checked."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> bool:
        if value != "on":
            raise self.make_error("invalid")
        return True


class Password(OpenAPIField, fields.String):
    """A password to verify or hash, as typed. Its length is limited to bound the hashing cost."""

    openapi_type = "string"
    openapi_format = "password"

    default_error_messages = PlainText.default_error_messages

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        # Counted as it is hashed, after NFKC; far too long input is not normalised.
        count = len(value if len(value) > 1_000 else unicodedata.normalize("NFKC", value))
        if not 1 <= count <= 128:
            raise self.make_error("length", min=1, max=128, count=count)
        reject_characters(value, is_secret=True)
        return value


class Timestamp(fields.AwareDateTime):
    """A time in UTC, ISO 8601 in milliseconds with `Z`."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> str | None:
        value = value and value.astimezone(UTC).replace(tzinfo=None)
        return value and f"{value.isoformat(timespec='milliseconds')}Z"


def reject_characters(text: str, allowed: str = "", *, is_secret: bool = False) -> None:
    """Raise a `ValidationError` about the first character that is not allowed in text.

    With `is_secret` it does not quote the text.
    """
    if sentence := find_forbidden(text, allowed, is_secret=is_secret):
        raise ValidationError(sentence)


def reject_seed_phrase(text: str) -> None:
    """Raise a `ValidationError` for a text with a seed phrase. It quotes nothing."""
    if has_seed_phrase(text):
        raise ValidationError(SEED_PHRASE)


def reject_markup(text: str) -> None:
    """Raise a `ValidationError` quoting the HTML in the text."""
    if found := find_markup(text):
        raise ValidationError([MarkupSentence(f"HTML is not allowed (found {found}).")])
