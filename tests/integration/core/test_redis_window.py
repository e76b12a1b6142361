"""The telling window answers what the library's own moving window answers."""

import time

import pytest
from flask import g
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from pipelabs.core.redis_window import MovingWindowWithStats

THREE = parse("3/minute")


@pytest.fixture
def storage(app):
    with app.test_request_context():
        yield storage_from_string(app.config["RATELIMIT_STORAGE_URI"])


def told(window, *names):
    """Return what a request after this one would be told."""
    g.pop("windows", None)
    return window.get_window_stats(THREE, *names)


def test_a_hit_counts_and_tells_as_the_library_does(storage):
    ours, theirs = MovingWindowWithStats(storage), MovingWindowRateLimiter(storage)

    for number in range(5):
        mine, other = ours.hit(THREE, "mine"), theirs.hit(THREE, "other")

        remembered, asked = ours.get_window_stats(THREE, "mine"), told(ours, "mine")
        assert mine == other == (number < 3)
        assert remembered.remaining == asked.remaining == max(0, 2 - number)
        assert remembered.reset_time == pytest.approx(asked.reset_time, abs=0.01)
        assert remembered.reset_time == pytest.approx(
            theirs.get_window_stats(THREE, "other").reset_time, abs=0.5
        )


def test_what_left_the_window_is_not_counted(storage, monkeypatch):
    window = MovingWindowWithStats(storage)
    start = time.time()
    for second in (0, 10, 20):
        monkeypatch.setattr(time, "time", lambda now=start + second: now)
        window.hit(THREE, "mine")

    monkeypatch.setattr(time, "time", lambda: start + 65)

    assert window.hit(THREE, "mine")
    stats = window.get_window_stats(THREE, "mine")
    assert (stats.remaining, round(stats.reset_time - start)) == (0, 70)


def test_the_two_windows_share_one_list(storage):
    MovingWindowWithStats(storage).hit(THREE, "shared")

    MovingWindowRateLimiter(storage).hit(THREE, "shared")

    assert told(MovingWindowWithStats(storage), "shared").remaining == 1


def test_without_redis_it_counts_in_memory(app):
    window = MovingWindowWithStats(storage_from_string("memory://"))

    with app.test_request_context():
        assert [window.hit(THREE, "mine") for _ in range(4)] == [True, True, True, False]
        assert window.get_window_stats(THREE, "mine").remaining == 0
