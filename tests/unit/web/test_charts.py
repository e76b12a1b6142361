from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from pipelabs.web import charts
from tests.each import each

TODAY = date(2026, 11, 22)


def days(*values):
    return [
        (TODAY - timedelta(days=len(values) - 1 - n), [value]) for n, value in enumerate(values)
    ]


@each(
    ("highest", "ticks"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (5, [0, 2, 4, 6]),
        (20, [0, 5, 10, 15, 20]),
        (21, [0, 10, 20, 30]),
        (40, [0, 10, 20, 30, 40]),
        (41, [0, 20, 40, 60]),
        (830, [0, 500, 1000]),
        (1_000_000, [0, 500_000, 1_000_000]),
    ],
)
def test_axis_ticks_are_round_numbers(highest, ticks):
    assert charts.axis_ticks(highest) == ticks


@each("highest", range(1, 3000, 7))
def test_axis_ticks_reach_the_highest_value_in_few_equal_steps(highest):
    ticks = charts.axis_ticks(highest)

    assert ticks[-1] >= highest > ticks[-2]
    assert len(ticks) <= 6
    assert len({upper - lower for lower, upper in pairwise(ticks)}) == 1


def test_daily_bar_chart_scales_bars_to_the_axis():
    chart = charts.daily_bar_chart(days(0, 10, 20))

    plot = charts.HEIGHT - charts.TOP - charts.BOTTOM
    pieces = [piece for bar in chart.bars for piece in bar.pieces]
    assert [piece.height for piece in pieces] == [0, plot / 2, plot]
    assert [piece.y + piece.height for piece in pieces] == [chart.bottom] * 3
    assert (chart.ticks[0].y, chart.ticks[-1].y) == (chart.bottom, charts.TOP)


def test_daily_bar_chart_stacks_the_values_of_a_day():
    chart = charts.daily_bar_chart([(TODAY - timedelta(days=1), []), (TODAY, [15, 5])])

    empty, day = chart.bars
    lower, upper = day.pieces
    assert not empty.pieces
    assert lower.height == 3 * upper.height
    assert upper.y + upper.height == lower.y
    assert upper.y == charts.TOP


def test_daily_bar_chart_places_bars_without_overlap_inside_the_margins():
    bars = charts.daily_bar_chart(days(*range(30))).bars

    assert all(left.x + left.width < right.x for left, right in pairwise(bars))
    assert bars[0].x >= charts.LEFT
    assert bars[-1].x + bars[-1].width <= charts.WIDTH - charts.RIGHT


def test_daily_bar_chart_labels_today_and_every_seventh_day_before():
    bars = charts.daily_bar_chart(days(*[0] * 30)).bars

    assert [bar.label for bar in bars if bar.label] == [
        "25 Oct",
        "1 Nov",
        "8 Nov",
        "15 Nov",
        "22 Nov",
    ]
    assert bars[-1].time == "2026-11-22"


def test_daily_bar_chart_of_a_quarter_has_no_more_labels_than_that_of_a_month():
    bars = charts.daily_bar_chart(days(*[0] * 90)).bars

    assert [bar.label for bar in bars if bar.label][-2:] == ["1 Nov", "22 Nov"]


def test_timed_bar_chart_labels_hours_quarters_of_days_and_days():
    end = datetime(2026, 11, 22, 12, tzinfo=UTC)
    found = []
    for length in (timedelta(hours=1), timedelta(hours=6), timedelta(days=1)):
        figures = [(end - number * length, [1]) for number in reversed(range(9))]
        bars = charts.timed_bar_chart(figures, length).bars
        found.append(([bar.label for bar in bars if bar.label], bars[-1].time))

    assert found == [
        (["06:00", "12:00"], "2026-11-22 12:00"),
        (["20 Nov", "21 Nov", "22 Nov"], "2026-11-22 12:00"),
        (["15 Nov", "22 Nov"], "2026-11-22"),
    ]


def test_timed_bar_chart_draws_levels_as_high_as_they_are():
    at = datetime(2026, 11, 22, tzinfo=UTC)
    levels: list[tuple[datetime, Sequence[float]]] = [(at, (5, 10, 20)), (at, ())]

    bar, empty = charts.timed_bar_chart(levels, timedelta(hours=1), are_levels=True).bars

    first, second, third = bar.pieces
    assert list(bar.values) == [5, 10, 20]
    assert (second.height, third.height) == (first.height, 2 * first.height)
    assert third.y == charts.TOP
    assert not empty.pieces
