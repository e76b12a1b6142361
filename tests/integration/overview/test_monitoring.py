from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.trail import Attempt
from pipelabs.models import Outcome
from pipelabs.overview.monitoring import BUCKETS, MonitoredSpan, Times, monitor
from tests.factories import make_actor, make_admin

AT = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def context(app):
    """An open context in the afternoon of a day."""
    with app.app_context(), time_machine.travel(AT, tick=False):
        yield


def create(ago, ms=10.0):
    """Record that a client was created so long ago, in so many milliseconds."""
    with time_machine.travel(AT - ago, tick=False):
        trail.record(Event.CLIENT_CREATED, make_actor(), client_id=uuid4(), ms=ms)


def deny(outcome, ago, event=Event.CLIENT_CREATE_DENIED, **facts):
    with time_machine.travel(AT - ago, tick=False):
        trail.record_denied(Attempt(event, outcome, 400, facts), make_actor())


def filled(monitoring):
    """Return the buckets in which something happened: time → results."""
    return {
        point.at: {name: count for name, count in point.results.items() if count}
        for point in monitoring.points
        if any(point.results.values())
    }


def test_monitoring_of_a_new_installation_is_empty():
    for span, buckets in BUCKETS.items():
        found = monitor(span)

        assert len(found.points) == buckets.number
        assert (found.attempts, found.success_rate, found.times) == (0, None, None)
        assert (found.denied_by_limits, found.patterns, found.admins) == (0, [], [])


def test_last_buckets_are_those_of_now():
    ends = {span: monitor(span).points[-1].at for span in MonitoredSpan}

    assert ends == {
        MonitoredSpan.DAY: AT.replace(minute=0),
        MonitoredSpan.WEEK: AT.replace(hour=12, minute=0),
        MonitoredSpan.MONTH: AT.replace(hour=0, minute=0),
    }


def test_attempts_are_counted_by_their_hour_and_outcome():
    create(0 * HOUR)
    create(2 * HOUR)
    deny(Outcome.DUPLICATE, 2 * HOUR, code="duplicate", fields="email")
    deny(Outcome.INVALID, 2 * HOUR, code="invalid_input", fields="name")
    deny(Outcome.RATE_LIMITED, 3 * HOUR, code="rate_limited")
    deny(Outcome.ERROR, 23 * HOUR, code="internal_error")
    create(24 * HOUR)

    found = monitor(MonitoredSpan.DAY)

    now = AT.replace(minute=0)
    assert filled(found) == {
        now: {"created": 1},
        now - 2 * HOUR: {"created": 1, "rejected": 2},
        now - 3 * HOUR: {"limited": 1},
        now - 23 * HOUR: {"failed": 1},
    }
    assert (found.attempts, found.success_rate) == (6, 2 / 6)
    assert found.outcomes[Outcome.DUPLICATE] == 1
    assert {(row.code, row.fields, row.count) for row in found.patterns} == {
        ("duplicate", "email", 1),
        ("internal_error", None, 1),
        ("invalid_input", "name", 1),
        ("rate_limited", None, 1),
    }


def test_calls_that_a_limit_denied_are_counted_whatever_they_were():
    deny(Outcome.RATE_LIMITED, HOUR, code="rate_limited")
    deny(Outcome.RATE_LIMITED, HOUR, Event.CLIENT_UPDATE_DENIED, code="rate_limited")

    found = monitor(MonitoredSpan.DAY)

    assert (found.denied_by_limits, found.attempts) == (2, 1)
    assert {
        point.at: point.denied_by_limits for point in found.points if point.denied_by_limits
    } == {AT.replace(minute=0) - HOUR: 2}


def test_processing_times_are_those_of_successful_attempts():
    for ms in (10, 20, 1000):
        create(HOUR, ms)
    create(5 * HOUR, 400)
    deny(Outcome.INVALID, HOUR, code="invalid_input")

    found = monitor(MonitoredSpan.DAY)
    times = [point.times for point in found.points if point.times]

    assert times == [Times(400, 400, 400), Times(20, 902, 980.4)]
    assert found.times == Times(210, 910, 982)


def test_admins_who_were_active_in_the_span_are_listed():
    admin = make_admin()
    actor = make_actor(name=admin.email, admin_id=admin.id)
    with time_machine.travel(AT - 48 * HOUR, tick=False):
        trail.record(Event.CLIENT_CREATED, actor, client_id=uuid4(), ms=1.0)

    assert monitor(MonitoredSpan.DAY).admins == []
    [found] = monitor(MonitoredSpan.WEEK).admins
    assert (found.email, found.creates) == (admin.email, 1)
