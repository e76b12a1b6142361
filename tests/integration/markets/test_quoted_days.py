from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from pipelabs.core.db import db
from pipelabs.markets.quoted_days import COUNT_EVERY, count_today, list_days
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import ClientMarket, QuotingStatus
from tests.factories import ACTOR, make_client, make_exchange, make_item

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def quote():
    """Return what has a new client quoted in three markets, the last of which is paused."""

    def add():
        items = [make_item(f"{base}/USDT") for base in ("BTC", "ETH", "LTC")]
        rows = add_client_markets(make_client().id, items, ACTOR)
        db.session.get_one(ClientMarket, rows[-1].id).status = QuotingStatus.PAUSED
        db.session.flush()

    return add


def counts(days=90):
    return [(day.day, row and (row.active, row.paused)) for day, row in list_days(days)]


def count_at(moment):
    with time_machine.travel(moment, tick=False):
        return count_today()


def test_quoted_markets_are_counted_once_an_hour_and_the_last_count_of_a_day_stays(quote):
    quote()
    first = count_at(NOON)
    quote()
    early = count_at(NOON + COUNT_EVERY - timedelta(seconds=1))
    again = count_at(NOON + COUNT_EVERY)

    assert (first, early, again) == (True, False, True)
    with time_machine.travel(NOON):
        assert counts() == [(22, (4, 2))]


def test_days_are_listed_from_the_first_that_was_counted(quote):
    count_at(NOON - timedelta(days=100))
    quote()
    count_at(NOON - timedelta(days=3))
    count_at(NOON)

    with time_machine.travel(NOON):
        assert counts() == [(19, (2, 1)), (20, None), (21, None), (22, (2, 1))]
        assert counts(days=2) == [(22, (2, 1))]


def test_days_without_a_count_are_today_alone():
    with time_machine.travel(NOON):
        assert counts() == [(22, None)]
