"""Time zones by their names in the IANA database."""

import re
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC_NAME = "UTC"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}", re.ASCII)


@lru_cache(maxsize=700)
def find_zone(name: str) -> ZoneInfo | None:
    """Return the time zone, such as `Europe/Berlin`, or None if there is none of this name."""
    if not NAME.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return None
