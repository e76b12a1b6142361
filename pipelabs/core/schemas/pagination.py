"""Pagination parameters and page metadata. Each list schema adds its own filters."""

import re
import unicodedata
from typing import Any

from marshmallow import Schema, fields

from pipelabs.core.schemas.fields import (
    OpenAPIField,
    Query,
    reject_characters,
    reject_seed_phrase,
)
from pipelabs.core.text import trim

SIZES = (25, 50, 100)
"""What the console offers."""
MAX_SEARCH_LENGTH = 255
MAX_SIZE = 100
CURSOR = re.compile("[A-Za-z0-9_-]{1,2000}", re.ASCII)
"""Base64url; long enough for a name of 255 characters."""


class PageSize(OpenAPIField, fields.Field[int]):
    """A number of rows, 1 to `MAX_SIZE`, as plain digits."""

    openapi_type = "integer"

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "range": f"Must be a whole number from 1 to {MAX_SIZE}."
    }

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the range."""
        return {"minimum": 1, "maximum": MAX_SIZE}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> int:
        if value not in map(str, range(1, MAX_SIZE + 1)):
            raise self.make_error("range")
        return int(value)


class Cursor(OpenAPIField, fields.Field[str]):
    """Where a page begins, as returned with an earlier page."""

    openapi_type = "string"

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "cursor": "This is not a cursor of this list."
    }

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the form of a cursor."""
        return {"pattern": f"^{CURSOR.pattern}$"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str) or not CURSOR.fullmatch(value):
            raise self.make_error("cursor")
        return value


class SearchText(fields.String):
    """A search text: a single line in NFC with single spaces."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "length": f"Must have at most {MAX_SEARCH_LENGTH} characters."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        text = trim(super()._deserialize(value, attr, data, **rest))
        if len(text) > MAX_SEARCH_LENGTH:
            raise self.make_error("length")
        reject_seed_phrase(text)
        reject_characters(text)
        return " ".join(unicodedata.normalize("NFC", text).split())


class BooleanFilter(fields.Boolean):
    """A filter that is `true` or `false`."""

    default_error_messages = {"invalid": "Must be true or false."}  # noqa: RUF012 - marshmallow's own form

    def __init__(self, **rest: Any) -> None:
        """Other spellings of a boolean are rejected."""
        super().__init__(truthy={"true"}, falsy={"false"}, **rest)


class ListQuery(Query):
    """The requested page of a list."""

    cursor = Cursor(
        metadata={
            "description": "`page.next` or `page.previous` of a response with the same sort."
        },
    )
    size = PageSize(load_default=50, metadata={"description": "Rows per page."})


class PageOut(Schema):
    """Cursors of the next and previous page; the first page also has the length of the list."""

    next = fields.String(
        allow_none=True, metadata={"example": None, "description": "Cursor of the next page."}
    )
    previous = fields.String(
        allow_none=True, metadata={"example": None, "description": "Cursor of the previous page."}
    )
    total = fields.Integer(
        allow_none=True,
        metadata={
            "example": 1,
            "description": "The length of the list. Null after the first page.",
        },
    )
    is_capped = fields.Boolean(
        allow_none=True,
        metadata={
            "example": False,
            "description": "Whether there are more rows than `total`. Null after the first page.",
        },
    )
