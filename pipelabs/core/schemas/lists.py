"""Lists of bounded length."""

from typing import Any

from marshmallow import ValidationError, fields

from pipelabs.core.schemas.fields import OpenAPIField, PlainText


class BoundedList(OpenAPIField, fields.List[Any]):
    """A list of `min` to `max` entries. Errors of entries are reported for the whole field."""

    default_error_messages = PlainText.default_error_messages | {
        "invalid": "Must be a list.",
        "count": "Must have {min} to {max} entries.",
    }

    def __init__(self, inner: fields.Field[Any], *, min: int = 0, max: int, **rest: Any) -> None:
        """`min` and `max` count entries."""
        super().__init__(inner, **rest)
        self.min = min
        self.max = max

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the allowed range of the length."""
        return {"minItems": self.min, "maxItems": self.max}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if not self.min <= len(value) <= self.max:
            raise self.make_error("count", min=self.min, max=self.max)
        try:
            return super()._deserialize(value, attr, data, **rest)
        except ValidationError as error:
            wrong = error.messages_dict.values()
            sentences = [sentence for messages in wrong for sentence in messages]
            raise ValidationError(list(dict.fromkeys(sentences))) from None


class LineList(BoundedList):
    """A bounded list from a form: entries separated by white space."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> list[Any]:
        return super()._deserialize(value.split(), attr, data, **rest)
