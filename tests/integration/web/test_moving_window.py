"""MovingWindowWithStats agrees with the moving window of the library."""

import time

import pytest
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from pipelabs.web.operation import begin, request_state
from pipelabs.web.rate_limit import MovingWindowWithStats
from tests.factories import make_actor

THREE = parse("3/minute")


@pytest.fixture
def storage(app):
    with app.test_request_context():
        begin(make_actor())
        yield storage_from_string(app.config["RATELIMIT_STORAGE_URI"])


def test_hit_matches_the_library_s_moving_window(storage):
    ours, theirs = MovingWindowWithStats(storage), MovingWindowRateLimiter(storage)

    for number in range(5):
        mine, other = ours.hit(THREE, "mine"), theirs.hit(THREE, "other")

        cached, fetched = request_state().spent["mine"].stats, ours.get_window_stats(THREE, "mine")
        assert mine == other == (number < 3)
        assert cached.remaining == fetched.remaining == max(0, 2 - number)
        assert cached.reset_time == pytest.approx(fetched.reset_time, abs=0.01)
        assert cached.reset_time == pytest.approx(
            theirs.get_window_stats(THREE, "other").reset_time, abs=0.5
        )


def test_hit_ignores_times_outside_the_window(storage, monkeypatch):
    window = MovingWindowWithStats(storage)
    start = time.time()
    for second in (0, 10, 20):
        monkeypatch.setattr(time, "time", lambda now=start + second: now)
        window.hit(THREE, "mine")

    monkeypatch.setattr(time, "time", lambda: start + 65)

    assert window.hit(THREE, "mine")
    stats = request_state().spent["mine"].stats
    assert (stats.remaining, round(stats.reset_time - start)) == (0, 70)


def test_both_windows_share_the_same_data(storage):
    MovingWindowWithStats(storage).hit(THREE, "shared")

    MovingWindowRateLimiter(storage).hit(THREE, "shared")

    assert MovingWindowWithStats(storage).get_window_stats(THREE, "shared").remaining == 1


def test_hit_without_redis_counts_in_memory(app):
    window = MovingWindowWithStats(storage_from_string("memory://"))

    with app.test_request_context():
        begin(make_actor())
        assert [window.hit(THREE, "mine") for _ in range(4)] == [True, True, True, False]
        assert request_state().spent["mine"].stats.remaining == 0
