from datetime import date, timedelta
from itertools import pairwise

from pipelabs.web import charts
from tests.each import each

TODAY = date(2026, 11, 22)


def days(*values):
    return [(TODAY - timedelta(days=len(values) - 1 - n), one) for n, one in enumerate(values)]


@each(
    ("most", "ticks"),
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
def test_the_axis_has_round_numbers(most, ticks):
    assert charts.nice_ticks(most) == ticks


@each("most", range(1, 3000, 7))
def test_the_axis_reaches_the_highest_bar_in_few_equal_steps(most):
    ticks = charts.nice_ticks(most)

    assert ticks[-1] >= most > ticks[-2]
    assert len(ticks) <= 6
    assert len({after - before for before, after in pairwise(ticks)}) == 1


def test_a_bar_is_as_high_as_its_share_of_the_axis():
    chart = charts.per_day(days(0, 10, 20))

    plot = charts.HEIGHT - charts.TOP - charts.BOTTOM
    assert [bar.height for bar in chart.bars] == [0, plot / 2, plot]
    assert [bar.y + bar.height for bar in chart.bars] == [chart.bottom] * 3
    assert (chart.ticks[0].y, chart.ticks[-1].y) == (chart.bottom, charts.TOP)
    assert chart.total == 30


def test_bars_stand_side_by_side_inside_the_picture():
    bars = charts.per_day(days(*range(30))).bars

    assert all(left.x + left.width < right.x for left, right in pairwise(bars))
    assert bars[0].x >= charts.LEFT
    assert bars[-1].x + bars[-1].width <= charts.WIDTH - charts.RIGHT


def test_today_is_labelled_and_every_seventh_day_before():
    bars = charts.per_day(days(*[0] * 30)).bars

    assert [bar.label for bar in bars if bar.label] == [
        "25 Oct",
        "1 Nov",
        "8 Nov",
        "15 Nov",
        "22 Nov",
    ]
    assert bars[-1].day == "2026-11-22"
