from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pipelabs.activity.periods import Period, span_of
from tests.each import each

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@each(
    ("period", "since", "until"),
    [
        ("today", "2026-11-25T23:00", None),
        ("yesterday", "2026-11-24T23:00", "2026-11-25T23:00"),
        ("last_7_days", "2026-11-19T23:00", None),
        ("last_30_days", "2026-10-27T23:00", None),
        ("this_month", "2026-10-31T23:00", None),
    ],
)
def test_span_of_a_period_begins_at_midnight_in_the_zone(period, since, until):
    span = span_of(Period(period), NOON, BERLIN)

    assert f"{span.since:%Y-%m-%dT%H:%M}" == since
    assert (span.until and f"{span.until:%Y-%m-%dT%H:%M}") == until
    assert span.since.tzinfo is UTC


def test_span_of_a_period_keeps_midnight_when_the_clocks_change():
    span = span_of(Period.YESTERDAY, datetime(2026, 3, 30, 12, tzinfo=UTC), BERLIN)

    assert [f"{moment:%d %H}" for moment in (span.since, span.until) if moment] == [
        "28 23",
        "29 22",
    ]
