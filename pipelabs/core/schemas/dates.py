"""Dates and times as text, in the documented forms only."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
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
        moment = self._parse(trim(value), data)
        if moment is None:
            raise self.make_error("invalid")
        return moment

    def _parse(self, text: str, data: Mapping[str, Any]) -> datetime | None:
        """Return the time that the text means, or None for other text."""
        return parse_date(text, is_end=self.is_end) or parse_time(text)


def parse_date(text: str, *, is_end: bool = False, zone: tzinfo = UTC) -> datetime | None:
    """Return the first moment of the date in UTC, or None for other text.

    Its day begins at midnight in the zone. With `is_end` it is the first moment of the next day.
    """
    if not DATE.fullmatch(text):
        return None
    try:
        midnight = datetime.fromisoformat(text).replace(tzinfo=zone) + DAY * is_end
        return midnight.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_time(text: str, *, zone: tzinfo = UTC) -> datetime | None:
    """Return the time in UTC, or None for other text. A time without a zone is in this zone."""
    if not TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
