"""Dates and times as text, in the documented forms only."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import fields

from pipelabs.core.schemas.fields import OpenAPIField, PlainText
from pipelabs.core.text import trim

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
TIME = re.compile(
    rf"{DATE.pattern}T[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
"""Python also reads `20261122`, weeks and other forms of ISO 8601, as times of day zero."""
DAY = timedelta(days=1)
NOT_A_TIME = "Must be a date or a time in ISO 8601: 2026-11-22 or 2026-11-22T22:46Z."
SPAN = "A date covers its whole day. Times without a zone are UTC."


class DateOrTime(OpenAPIField, fields.Field[datetime]):
    """A time, or a date that means the beginning or the end of its day; UTC."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages | {"invalid": NOT_A_TIME}

    def __init__(self, *, is_end: bool = False, **rest: Any) -> None:
        """With `is_end` a date means the first moment of the next day."""
        super().__init__(**rest)
        self.is_end = is_end

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> datetime:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        text = trim(value)
        moment = parse_date(text, is_end=self.is_end) or parse_time(text)
        if moment is None:
            raise self.make_error("invalid")
        return moment


def parse_date(text: str, *, is_end: bool = False) -> datetime | None:
    """Return the first moment of the date in UTC, or None for other text.

    With `is_end` it is the first moment of the next day.
    """
    if not DATE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) + DAY * is_end
    except (ValueError, OverflowError):
        return None


def parse_time(text: str) -> datetime | None:
    """Return the time in UTC, or None for other text. A time without a zone is in UTC."""
    if not TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
