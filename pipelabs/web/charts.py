"""The arithmetic of charts: figures → places in a picture, which templates only draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, log10
from typing import NamedTuple

WIDTH, HEIGHT = 960, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 16, 32
"""Room for the numbers of the axis, the last bar's edge, the topmost number, the days."""
MAX_STEPS = 4
LABEL_EVERY = 7
"""A week apart, the labels of days have room on a telephone too."""
GAP = 0.3
"""Which part of a bar's room is left empty."""


class Bar(NamedTuple):
    """One bar, and its day; `label` is what stands below it, if anything does."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    day: str
    label: str
    value: int


class Tick(NamedTuple):
    """One line of the grid."""

    y: float
    value: int


@dataclass(frozen=True, slots=True)
class BarChart:
    """A bar chart in units of its own view box."""

    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    total: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def per_day(figures: Sequence[tuple[date, int]]) -> BarChart:
    """Return the chart of a figure a day; the last day is labelled, and every seventh before."""
    ticks = nice_ticks(max(value for _, value in figures))
    room = (WIDTH - LEFT - RIGHT) / len(figures)
    scale = (HEIGHT - TOP - BOTTOM) / ticks[-1]
    bottom = HEIGHT - BOTTOM
    bars = [
        Bar(
            x=round(LEFT + room * (place + GAP / 2), 1),
            y=round(bottom - value * scale, 1),
            width=round(room * (1 - GAP), 1),
            height=round(value * scale, 1),
            middle=round(LEFT + room * (place + 0.5), 1),
            day=day.isoformat(),
            label="" if (len(figures) - 1 - place) % LABEL_EVERY else f"{day.day} {day:%b}",
            value=value,
        )
        for place, (day, value) in enumerate(figures)
    ]
    lines = [Tick(round(bottom - value * scale, 1), value) for value in ticks]
    return BarChart(bars, lines, sum(value for _, value in figures))


def nice_ticks(highest: int) -> list[int]:
    """Return numbers from 0 to `highest` or just above, a step of 1, 2 or 5 times 10ⁿ apart."""
    smallest_step = max(highest, 1) / MAX_STEPS
    power = 10 ** max(0, ceil(log10(smallest_step)) - 1)
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= smallest_step)
    return [step * number for number in range(ceil(max(highest, 1) / step) + 1)]
