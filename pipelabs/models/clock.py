"""The clock that rows and audit events are dated by: the present, or a moment that demo data set.

Only `pipelabs.demo` may set it, which an import contract checks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_moment: ContextVar[datetime | None] = ContextVar("moment", default=None)


def read_clock() -> datetime:
    """Return the time in UTC."""
    return _moment.get() or datetime.now(UTC)


def find_moment() -> datetime | None:
    """Return the moment that the clock is set to, or None for the present."""
    return _moment.get()


@contextmanager
def set_clock(moment: datetime) -> Iterator[None]:
    """Let the clock of this thread stand at a moment in the block."""
    token = _moment.set(moment)
    try:
        yield
    finally:
        _moment.reset(token)
