"""Where a page is in its list, such as 51 to 100 of 300.

A cursor does not say how many rows are before it, and only the first page counts the list. So the
links of the pager carry both. They are shown and nothing else, so a false one does no harm.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import request

from pipelabs.core.pagination import Page

FIRST, LENGTH = "from", "of"
PARAMETERS = frozenset({FIRST, LENGTH})
DASH = "\u2013"
NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
COUNT = re.compile(r"([0-9]{1,9})(\+?)", re.ASCII)
"""The length of a list. With `+` it is longer."""


class Place(NamedTuple):
    """The place of a page as text, and the parameters of the links to its neighbours."""

    text: str
    previous: Mapping[str, str]
    next: Mapping[str, str]


def place_of(page: Page[Any]) -> Place:
    """Return the place of a page. It is unknown if the URL of a later page does not tell it."""
    rows, first = len(page.rows), _first(page)
    length = _length(page)
    if first is None:
        return Place(f"{rows:,} row{'' if rows == 1 else 's'}", {}, {})
    size = request.args.get("size", "50")
    before = max(1, first - int(size if NUMBER.fullmatch(size) else "50"))
    text = f"{first:,}{DASH}{first + rows - 1:,}" if rows > 1 else f"{first:,}"
    if match := COUNT.fullmatch(length):
        text += f" of {'more than ' if match[2] else ''}{int(match[1]):,}"
    known = {LENGTH: length} if length else {}
    return Place(text, {FIRST: str(before), **known}, {FIRST: str(first + rows), **known})


def _first(page: Page[Any]) -> int | None:
    """Return the number of the first row of the page."""
    if "cursor" not in request.args or not page.previous:
        return 1
    number = request.args.get(FIRST, "")
    return int(number) if NUMBER.fullmatch(number) else None


def _length(page: Page[Any]) -> str:
    """Return the length of the list as it is in links, or an empty text if it is unknown."""
    if page.total is not None:
        return f"{page.total}{'+' if page.is_capped else ''}"
    length = request.args.get(LENGTH, "")
    return length if COUNT.fullmatch(length) else ""
