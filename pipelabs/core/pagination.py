"""Keyset pagination: the last page of a list is as fast as the first."""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlakeyset import select_page
from sqlalchemy import Select, func, literal, select
from sqlalchemy.exc import DataError, ProgrammingError

from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput

T = TypeVar("T")
MAX_COUNTED = 10_000
"""Longer lists are reported as "more than" this, because counting takes time for each row."""
CHECKSUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, the cursors of the pages beside it, and the length of the whole list.

    Only the first page has the length, because counting takes longer than reading a page.
    """

    rows: Sequence[T]
    next: str | None
    previous: str | None
    total: int | None
    is_capped: bool | None

    @property
    def is_past_end(self) -> bool:
        """Return whether a cursor leads where no rows are any more."""
        return not self.rows and self.total is None


def page_of(
    query: Select[T],
    size: int,
    cursor: str | None = None,
    *,
    counted: Select[Any] | None = None,
    is_counted: bool = True,
) -> Page[T]:
    """Return one page of the query, whose order must end in a unique column.

    `counted` is a query with as many rows that takes less time, such as one without the joins.
    `total` of the first page is exact up to `MAX_COUNTED`. For longer lists it is `MAX_COUNTED`,
    and `is_capped` is true. Both are None on other pages, and on one that is not counted because
    that would take too long. Raise `InvalidInput` for a cursor of another list or order.
    """
    try:
        bookmark = None if cursor is None else decode_cursor(cursor)
        result: Any = select_page(db.session(), query, per_page=size, page=bookmark)
    except (ValueError, TypeError, DataError, ProgrammingError):
        sentence = "This is not a cursor of this list."
        raise InvalidInput(sentence, fields={"cursor": [sentence]}) from None
    paging, rows = result.paging, [row[0] for row in result]
    total = None
    if not cursor or (rows and not paging.has_previous):
        if not paging.has_next:
            total = len(rows)
        elif is_counted:
            total = _count(query if counted is None else counted)
    return Page(
        rows=rows,
        next=encode_cursor(paging.bookmark_next) if paging.has_next else None,
        previous=encode_cursor(paging.bookmark_previous) if paging.has_previous else None,
        total=total and min(total, MAX_COUNTED),
        is_capped=None if total is None else total > MAX_COUNTED,
    )


def encode_cursor(bookmark: str) -> str:
    """Return the library's bookmark and its checksum as base64url without padding (RFC 4648)."""
    data = bookmark.encode()
    return urlsafe_b64encode(data + _checksum(data)).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> str:
    """Return the bookmark of a cursor. Raise `ValueError` unless it encodes to the same cursor.

    A cursor that was changed on its way could mean a place where the list is already over.
    """
    data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    bookmark = data[:-CHECKSUM_BYTES].decode()
    if encode_cursor(bookmark) != cursor:
        raise ValueError("not what encode_cursor returns")
    return bookmark


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES)


def _count(query: Select[Any]) -> int:
    """Return the length of the list, at most `MAX_COUNTED + 1`."""
    capped = query.order_by(None).limit(MAX_COUNTED + 1)
    capped = capped.with_only_columns(literal(1), maintain_column_froms=True)
    return db.session.scalar(select(func.count()).select_from(capped.subquery())) or 0
