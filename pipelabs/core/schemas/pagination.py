"""Pages of a list, as callers ask for them and see them; a noun's own list adds its filters."""

import re
import unicodedata
from typing import Any

from marshmallow import Schema, fields

from pipelabs.core.schemas.characters import reject_characters
from pipelabs.core.schemas.fields import Query

SIZES = (25, 50, 100)
MAX_SEARCH_LENGTH = 255
CURSOR = re.compile("[<>].{1,2000}")
"""A direction, and the values that the list is sorted by; a name of 255 characters fits."""


class PageSize(fields.Integer):
    """One of `SIZES`, in plain digits."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "choice": f"Must be one of: {', '.join(map(str, SIZES))}."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> int:
        if value not in map(str, SIZES):
            raise self.make_error("choice")
        return int(value)


class Cursor(fields.String):
    """Where a page begins, as an earlier page told it."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "cursor": "This is not a cursor of this list."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> Any:
        if not isinstance(value, str) or not CURSOR.fullmatch(value):
            raise self.make_error("cursor")
        return value


class SearchText(fields.String):
    """What is looked for: one line, NFC, with single spaces."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own form
        "length": f"Must have at most {MAX_SEARCH_LENGTH} characters."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **rest)
        if len(text) > MAX_SEARCH_LENGTH:
            raise self.make_error("length")
        reject_characters(text)
        return " ".join(unicodedata.normalize("NFC", text).split())


class BooleanFilter(fields.Boolean):
    """A filter that is `true` or `false`."""

    default_error_messages = {"invalid": "Must be true or false."}  # noqa: RUF012 - marshmallow's own form

    def __init__(self, **rest: Any) -> None:
        """No other words are taken."""
        super().__init__(truthy={"true"}, falsy={"false"}, **rest)


class ListQuery(Query):
    """Which page of a list is wanted."""

    cursor = Cursor(
        metadata={
            "description": "`page.next` or `page.previous` of a response with the same sort."
        },
    )
    size = PageSize(
        load_default=50, metadata={"description": "Rows per page.", "enum": list(SIZES)}
    )


class PageOut(Schema):
    """Where the neighbours of a page are, and how long the whole list is."""

    next = fields.String(
        allow_none=True, metadata={"example": None, "description": "Cursor of the next page."}
    )
    previous = fields.String(
        allow_none=True, metadata={"example": None, "description": "Cursor of the previous page."}
    )
    total = fields.Integer(metadata={"example": 1})
    is_capped = fields.Boolean(
        metadata={"example": False, "description": "Whether there are more rows than `total`."}
    )
