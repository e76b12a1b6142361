"""Layout of charts: values → coordinates, which templates draw as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate
from math import ceil, log10
from typing import NamedTuple

from pipelabs.activity.bands import Band

WIDTH, HEIGHT = 960, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 16, 32
"""Margins: for the numbers of the axis, the last bar, the topmost number and the days."""
MAX_STEPS = 4
ZERO = HEIGHT - BOTTOM
"""Where bars begin."""
LABEL_EVERY, DAYS_WITH_LABELS = 7, 30
"""Days between labels. In a chart of a month, labels a week apart fit on a phone too."""
HOURS_WITH_LABELS, BARS_A_DAY = 6, 4
"""Bars between labels: of hours, and of quarters of a day."""
GAP = 0.3
"""Fraction of each slot that stays empty between bars."""


class BarPiece(NamedTuple):
    """The part of a bar that stands for one of its values."""

    y: float
    height: float


class Bar(NamedTuple):
    """One bar and its time, such as a day. `label` is the text below it, or empty.

    `values` and `pieces` are from the bottom up. A time without figures has none.
    """

    x: float
    width: float
    middle: float
    time: str
    label: str
    values: Sequence[float]
    pieces: Sequence[BarPiece]


class Piece(NamedTuple):
    """A stretch of a band. `kind` is that of its badge."""

    x: float
    width: float
    kind: str
    label: str


class BandPicture(NamedTuple):
    """A band in units of its view box, and the same in words."""

    pieces: Sequence[Piece]
    legend: Sequence[tuple[str, str, str]]
    first: str
    text: str
    width: int = WIDTH


class Tick(NamedTuple):
    """One horizontal grid line."""

    y: float
    value: int


@dataclass(frozen=True, slots=True)
class BarChart:
    """A bar chart in units of its view box."""

    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = ZERO


class Slot(NamedTuple):
    """What a bar stands for: its time in words, and its values from the bottom up."""

    time: str
    label: str
    values: Sequence[float]


def daily_bar_chart(figures: Sequence[tuple[date, Sequence[float]]]) -> BarChart:
    """Return a chart with one bar a day, which has a piece for each of its values."""
    every = LABEL_EVERY * ceil(len(figures) / DAYS_WITH_LABELS)
    return _bar_chart(
        [Slot(day.isoformat(), f"{day.day} {day:%b}", values) for day, values in figures], every
    )


def timed_bar_chart(
    figures: Sequence[tuple[datetime, Sequence[float]]],
    length: timedelta,
    *,
    are_levels: bool = False,
) -> BarChart:
    """Return a chart with one bar for each time, which is so long.

    The values are pieces on top of each other or, as levels, each as high as it is.
    """
    if length >= timedelta(days=1):
        slots = [Slot(f"{at:%Y-%m-%d}", f"{at.day} {at:%b}", values) for at, values in figures]
        return _bar_chart(slots, LABEL_EVERY, are_levels=are_levels)
    is_hourly = length <= timedelta(hours=1)
    slots = [
        Slot(f"{at:%Y-%m-%d %H:%M}", f"{at:%H:%M}" if is_hourly else f"{at.day} {at:%b}", values)
        for at, values in figures
    ]
    return _bar_chart(slots, HOURS_WITH_LABELS if is_hourly else BARS_A_DAY, are_levels=are_levels)


def _bar_chart(slots: Sequence[Slot], label_every: int, *, are_levels: bool = False) -> BarChart:
    """Return a chart of the slots. The last one is labelled, and every so many before it."""
    top = max(max(slot.values, default=0) if are_levels else sum(slot.values) for slot in slots)
    ticks = axis_ticks(top)
    room = (WIDTH - LEFT - RIGHT) / len(slots)
    scale = (HEIGHT - TOP - BOTTOM) / ticks[-1]
    bars = [
        Bar(
            x=round(LEFT + room * (index + GAP / 2), 1),
            width=round(room * (1 - GAP), 1),
            middle=round(LEFT + room * (index + 0.5), 1),
            time=slot.time,
            label="" if (len(slots) - 1 - index) % label_every else slot.label,
            values=slot.values,
            pieces=_stack(_rises(slot.values) if are_levels else slot.values, scale),
        )
        for index, slot in enumerate(slots)
    ]
    return BarChart(bars, [Tick(round(ZERO - value * scale, 1), value) for value in ticks])


def _rises(levels: Sequence[float]) -> list[float]:
    """Return how much higher each level is than the one before it."""
    return [level - before for level, before in zip(levels, [0, *levels], strict=False)]


def _stack(values: Sequence[float], scale: float) -> list[BarPiece]:
    """Return the pieces of a bar, each on top of those before it."""
    tops = accumulate(values)
    return [
        BarPiece(round(ZERO - top * scale, 1), round(value * scale, 1))
        for value, top in zip(values, tops, strict=True)
    ]


def draw_band(band: Band, kinds: Mapping[str, str]) -> BandPicture:
    """Return the picture of a band. `kinds` is status → kind of its badge."""
    whole = max((band.until - band.since).total_seconds(), 1)
    pieces, days = [], dict[str, float]()
    for status, since, until in band.stretches:
        x = (since - band.since).total_seconds() / whole * WIDTH
        width = (until - since).total_seconds() / whole * WIDTH
        label = f"{status}, {since:%Y-%m-%d} to {until:%Y-%m-%d}"
        pieces.append(Piece(round(x, 2), round(width, 2), kinds.get(status, "quiet"), label))
        days[status] = days.get(status, 0) + (until - since).total_seconds() / 86_400
    legend = [
        (status, kinds.get(status, "quiet"), _count_days(share)) for status, share in days.items()
    ]
    words = ", ".join(f"{status} {share}" for status, _, share in legend)
    first = f"{band.since:%Y-%m-%d}"
    return BandPicture(pieces, legend, first, f"Status since {first}: {words}")


def _count_days(days: float) -> str:
    if days < 1:
        return "less than a day"
    return "1 day" if round(days) == 1 else f"{days:.0f} days"


def axis_ticks(highest: float) -> list[int]:
    """Return round numbers from 0 to `highest` or above, in steps of 1, 2 or 5 times 10ⁿ."""
    smallest_step = max(highest, 1) / MAX_STEPS
    power = 10 ** max(0, ceil(log10(smallest_step)) - 1)
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= smallest_step)
    return [step * number for number in range(ceil(max(highest, 1) / step) + 1)]
