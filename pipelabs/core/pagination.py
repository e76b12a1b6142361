"""Pages of a list, found by their keys, so that the last one is as quick as the first."""

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
"""A longer list is told as "more than"; counting all of it takes as long as it is long."""
PAGE_SIZES = (25, 50, 100)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list, the cursors of its neighbours, and how long the whole list is."""

    rows: Sequence[T]
    next: str | None
    previous: str | None
    total: int
    is_capped: bool


def page_of(wanted: Select[T], size: int, cursor: str | None = None) -> Page[T]:
    """Return one page of the query, whose order must end in a unique column.

    `total` is exact up to `MAX_COUNTED`; above, it is that figure and `is_capped` says so. Raise
    `InvalidInput` for a cursor that is none of this list's.
    """
    try:
        found: Any = select_page(db.session(), wanted, per_page=size, page=cursor or None)
    except (ValueError, TypeError, DataError, ProgrammingError):
        sentence = "This is not a cursor of this list."
        raise InvalidInput(sentence, fields={"cursor": [sentence]}) from None
    ends, rows = found.paging, [row[0] for row in found]
    total = _count(wanted) if ends.has_next or ends.has_previous else len(rows)
    return Page(
        rows=rows,
        next=ends.bookmark_next if ends.has_next else None,
        previous=ends.bookmark_previous if ends.has_previous else None,
        total=min(total, MAX_COUNTED),
        is_capped=total > MAX_COUNTED,
    )


def _count(wanted: Select[T]) -> int:
    """Return how long the list is, or one more than is told; a list of one page needs no count."""
    some = wanted.order_by(None).limit(MAX_COUNTED + 1)
    some = some.with_only_columns(literal(1), maintain_column_froms=True)
    return db.session.scalar(select(func.count()).select_from(some.subquery())) or 0
