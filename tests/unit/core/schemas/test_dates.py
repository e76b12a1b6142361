from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipelabs.core.schemas.dates import parse_date, parse_time
from tests.each import each

COMPACT = ["20261125", "2026-W48-3", "2026W483", "2026-330", "20261125T101112Z", "2026-11"]

ARABIC = "".join(chr(0x660 + int(digit)) if digit.isdigit() else digit for digit in "2026-11-25")


@each("text", [*COMPACT, "", "2026-11-25 ", "2026-1-5", "25.11.2026", "2026-02-30", ARABIC])
def test_parse_date_rejects_other_forms(text):
    assert parse_date(text) is None


@each("text", ["9999-12-31", "0001-01-01"])
def test_parse_date_reads_the_ends_of_the_calendar(text):
    assert parse_date(text) is not None
    assert (parse_date(text, is_end=True) is None) is (text == "9999-12-31")


def test_parse_date_is_the_beginning_or_the_end_of_the_day():
    assert parse_date("2026-11-25") == datetime(2026, 11, 25, tzinfo=UTC)
    assert parse_date("2026-11-25", is_end=True) == datetime(2026, 11, 26, tzinfo=UTC)


@each(
    ("text", "hour", "minute"),
    [
        ("2026-11-25T10:11", 10, 11),
        ("2026-11-25T10:11Z", 10, 11),
        ("2026-11-25T10:11:00.000001", 10, 11),
        ("2026-11-25T10:11:00+02:00", 8, 11),
    ],
)
def test_parse_time_reads_times_with_and_without_a_zone(text, hour, minute):
    moment = parse_time(text)

    assert moment is not None
    assert (moment.hour, moment.minute, moment.tzinfo) == (hour, minute, UTC)


@each(
    "text",
    [
        *COMPACT,
        "2026-11-25",
        "2026-11-25 10:11",
        "2026-11-25T10",
        "2026-11-25T1011",
        "2026-11-25T10:11:12,5",
        "2026-11-25T10:11 02:00",
        "2026-11-25T10:11+0200",
        "2026-11-25T24:01",
        "2026-11-25T10:11:60",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_parse_time_rejects_other_forms(text):
    assert parse_time(text) is None


@given(st.datetimes(timezones=st.timezones(no_cache=True) | st.none()))
def test_parse_time_reads_what_is_written_with_seconds(moment):
    text = moment.isoformat(timespec="seconds")

    parsed = parse_time(text)

    assert parsed is None or parsed == datetime.fromisoformat(text).replace(
        tzinfo=datetime.fromisoformat(text).tzinfo or UTC
    )


@given(st.text())
def test_parse_never_raises(text):
    assert parse_date(text) is None or len(text) == 10
    assert parse_time(text) is None or len(text) >= 16
