from datetime import UTC, datetime, timedelta

import time_machine

from pipelabs.web.pages import ago, label
from tests.each import each

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@each(
    ("before", "words"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (timedelta(hours=23), "23 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=60, hours=23), "60 days ago"),
        (timedelta(days=61), "2026-09-22"),
    ],
)
def test_ago_counts_the_largest_unit_and_names_a_day_of_long_ago(before, words):
    with time_machine.travel(NOON, tick=False):
        assert ago(NOON - before) == words


@each(
    ("value", "words"),
    [
        ("okx", "OKX"),
        ("evm", "EVM"),
        ("api_key", "API key"),
        ("market_maker", "market maker"),
        ("active", "active"),
        (None, ""),
    ],
)
def test_label_names_exchanges_and_chains_and_drops_underscores(value, words):
    assert label(value) == words
