"""Whole numbers. Fractions are rejected, not rounded."""

from typing import Any

from marshmallow import fields

from pipelabs.core.schemas.fields import OpenAPIField, PlainText
from pipelabs.core.text import trim


class WholeNumber(OpenAPIField, fields.Field[int]):
    """A whole number from `min` to `max`. Text is accepted from forms only."""

    openapi_type = "integer"

    default_error_messages = PlainText.default_error_messages | {
        "invalid": "Must be a whole number.",
        "range": "Must be {min:,} to {max:,}.",
    }

    def __init__(self, *, min: int, max: int, is_form_field: bool = False, **rest: Any) -> None:
        """With `is_form_field` the value is text of plain digits."""
        super().__init__(**rest)
        self.min = min
        self.max = max
        self.is_form_field = is_form_field

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the range."""
        return {"minimum": self.min, "maximum": self.max}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> int:
        if self.is_form_field and trim(value).isascii() and trim(value).isdecimal():
            # Longer numbers are out of range anyway, and Python refuses to parse the longest.
            value = int(trim(value)[:20])
        if type(value) is not int:
            raise self.make_error("invalid")
        if not self.min <= value <= self.max:
            raise self.make_error("range", min=self.min, max=self.max)
        return value
