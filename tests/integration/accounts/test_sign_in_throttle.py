from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import text

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
def later():
    """Return a function that lets seconds pass for the throttles."""
    earlier = text("UPDATE sign_in_throttles SET window_at = window_at - make_interval(secs => :s)")
    return lambda seconds: db.session.execute(earlier, {"s": seconds})


def waits(count, email=EMAIL, address=HERE):
    results = [reserve(email, address) for _ in range(count)]
    return [throttled and throttled.wait_s for throttled in results]


def test_reserve_allows_five_attempts_a_minute_then_returns_the_wait(later):
    waits(5)
    later(20)

    assert waits(1) == [40]


@pytest.mark.parametrize(("second", "wait"), [(20, "40 seconds"), (59, "1 second")])
def test_reserve_says_when_to_try_again(later, second, wait):
    waits(5)
    later(second)

    throttled = reserve(EMAIL, HERE)

    assert throttled is not None
    assert throttled.message == f"Too many attempts to sign in. Try again in {wait}."


def test_reserve_allows_an_attempt_after_the_wait(later):
    waits(6)
    later(60)

    assert waits(1) == [None]


def test_reserve_allows_twenty_attempts_an_hour(later):
    for _ in range(4):
        assert waits(5) == [None] * 5
        later(61)

    assert waits(1) == [3600 - 4 * 61]


def test_rejected_attempts_do_not_extend_the_wait(later):
    waits(100)
    later(60)

    assert waits(6) == [None] * 5 + [60]


def test_reserve_allows_thirty_attempts_an_address():
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


def test_release_deletes_expired_windows(later):
    waits(1, email="long-ago@desk.local", address="192.0.2.9")
    later(4000)

    release(EMAIL, HERE)

    assert db.session.query(SignInThrottle).count() == 0


def test_release_deletes_a_batch_of_expired_windows_at_a_time(later, monkeypatch):
    monkeypatch.setattr(sign_in_throttle, "PURGE_BATCH", 2)
    for number in range(5):
        db.session.add(SignInThrottle(key=f"ip:{number}", window_at=now(), tries=1))
    db.session.flush()
    later(2 * 3600)

    left = []
    for _ in range(3):
        release("a@desk.local", None)
        left.append(db.session.query(SignInThrottle).count())

    assert left == [3, 1, 0]


def test_reserve_counts_the_addresses_of_one_64_together():
    for n in range(30):
        assert reserve(f"a{n}@desk.local", f"2001:db8:1:2::{n:x}") is None

    assert reserve("another@desk.local", "2001:db8:1:2:ffff::1") is not None
    assert reserve("another@desk.local", "2001:db8:1:3::1") is None


def test_release_undoes_the_count_of_the_64():
    for n in range(40):
        assert reserve(EMAIL, f"2001:db8:1:2::{n:x}") is None
        release(EMAIL, f"2001:db8:1:2::{n + 1:x}")


def test_reserve_does_not_depend_on_this_machines_clock():
    with time_machine.travel(now() + timedelta(hours=1), tick=False):
        waits(5)

    [throttled] = waits(1)

    assert throttled == 60
