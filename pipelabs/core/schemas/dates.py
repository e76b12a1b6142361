"""Dates and times as text, in the documented forms only."""

import re
from datetime import UTC, datetime, timedelta

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
TIME = re.compile(
    rf"{DATE.pattern}T[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
"""Python also reads `20261122`, weeks and other forms of ISO 8601, as times of day zero."""
DAY = timedelta(days=1)


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
