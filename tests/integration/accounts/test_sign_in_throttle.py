from datetime import timedelta

import pytest

from pipelabs.accounts import sign_in_throttle
from pipelabs.accounts.sign_in_throttle import release, reserve
from pipelabs.core.db import db
from pipelabs.models import SignInThrottle, now

EMAIL, HERE = "owner@desk.local", "192.0.2.7"


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        yield


@pytest.fixture
def clock(monkeypatch):
    """Return a setter of what time the throttles believe it is, from now on."""
    start = now()
    return lambda seconds: monkeypatch.setattr(
        sign_in_throttle, "now", lambda: start + timedelta(seconds=seconds)
    )


def waits(count, email=EMAIL, address=HERE):
    results = [reserve(email, address) for _ in range(count)]
    return [throttled and throttled.wait_s for throttled in results]


def test_reserve_allows_five_attempts_a_minute_then_returns_the_wait(clock):
    clock(0)
    waits(5)
    clock(20)

    assert waits(1) == [40]


@pytest.mark.parametrize(("second", "wait"), [(20, "40 seconds"), (59, "1 second")])
def test_reserve_says_when_to_try_again(clock, second, wait):
    clock(0)
    waits(5)
    clock(second)

    throttled = reserve(EMAIL, HERE)

    assert throttled is not None
    assert throttled.message == f"Too many attempts to sign in. Try again in {wait}."


def test_reserve_allows_an_attempt_after_the_wait(clock):
    clock(0)
    waits(6)
    clock(60)

    assert waits(1) == [None]


def test_reserve_allows_twenty_attempts_an_hour(clock):
    for minute in range(4):
        clock(minute * 61)
        assert waits(5) == [None] * 5

    clock(4 * 61)

    assert waits(1) == [3600 - 4 * 61]


def test_rejected_attempts_do_not_extend_the_wait(clock):
    clock(0)
    waits(100)
    clock(60)

    assert waits(6) == [None] * 5 + [60]


def test_reserve_allows_thirty_attempts_an_address(clock):
    clock(0)
    for n in range(30):
        assert reserve(f"a{n}@desk.local", HERE) is None

    assert reserve("another@desk.local", HERE) is not None
    assert reserve("another@desk.local", "192.0.2.8") is None


def test_reserve_counts_accounts_separately():
    waits(6)

    assert waits(1, email="other@desk.local") == [None]


def test_release_undoes_the_count():
    for _ in range(10):
        assert waits(1) == [None]
        release(EMAIL, HERE)


def test_throttle_table_has_no_email_addresses():
    waits(1)

    assert not any(EMAIL in row.key for row in db.session.query(SignInThrottle))


def test_release_deletes_expired_windows(clock):
    clock(-4000)
    waits(1, email="long-ago@desk.local", address="192.0.2.9")
    clock(0)

    release(EMAIL, HERE)

    assert db.session.query(SignInThrottle).count() == 0
