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
    refusals = [reserve(email, address) for _ in range(count)]
    return [refusal and refusal.wait_s for refusal in refusals]


def test_five_tries_a_minute_are_looked_at_and_the_sixth_is_told_the_true_wait(clock):
    clock(0)
    waits(5)
    clock(20)

    assert waits(1) == [40]


def test_after_the_wait_the_next_try_is_looked_at(clock):
    clock(0)
    waits(6)
    clock(60)

    assert waits(1) == [None]


def test_twenty_tries_an_hour_are_looked_at(clock):
    for minute in range(4):
        clock(minute * 61)
        assert waits(5) == [None] * 5

    clock(4 * 61)

    assert waits(1) == [3600 - 4 * 61]


def test_tries_that_are_refused_do_not_lengthen_the_wait(clock):
    clock(0)
    waits(100)
    clock(60)

    assert waits(6) == [None] * 5 + [60]


def test_an_address_has_thirty_tries_over_all_accounts(clock):
    clock(0)
    for n in range(30):
        assert reserve(f"a{n}@desk.local", HERE) is None

    assert reserve("another@desk.local", HERE) is not None
    assert reserve("another@desk.local", "192.0.2.8") is None


def test_another_account_is_not_throttled_with_this_one():
    waits(6)

    assert waits(1, email="other@desk.local") == [None]


def test_a_right_password_takes_the_count_back():
    for _ in range(10):
        assert waits(1) == [None]
        release(EMAIL, HERE)


def test_the_table_does_not_tell_who_was_tried():
    waits(1)

    assert not any(EMAIL in row.key for row in db.session.query(SignInThrottle))


def test_windows_that_are_long_over_are_dropped(clock):
    clock(-4000)
    waits(1, email="long-ago@desk.local", address="192.0.2.9")
    clock(0)

    release(EMAIL, HERE)

    assert db.session.query(SignInThrottle).count() == 0
