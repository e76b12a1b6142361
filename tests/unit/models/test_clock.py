from datetime import UTC, datetime, timedelta

import pytest

from pipelabs.models import new_id, now
from pipelabs.models.clock import set_clock

MOMENT = datetime(2026, 1, 22, 9, 30, 15, 123_456, tzinfo=UTC)


def read_time(row_id):
    """Return the time in a UUIDv7."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=row_id.int >> 80)


def test_now_is_the_present_outside_of_set_clock():
    before = now()
    with set_clock(MOMENT), pytest.raises(ZeroDivisionError), set_clock(MOMENT):
        raise ZeroDivisionError

    assert timedelta() <= now() - before < timedelta(minutes=5)


def test_set_clock_dates_times_and_ids():
    with set_clock(MOMENT):
        moment, row_id = now(), new_id()

    assert moment == MOMENT.replace(microsecond=123_000)
    assert (row_id.version, read_time(row_id)) == (7, moment)


def test_set_clock_gives_different_ids_at_one_moment():
    with set_clock(MOMENT):
        ids = {new_id() for _ in range(1_000)}

    assert len(ids) == 1_000
