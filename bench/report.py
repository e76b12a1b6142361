"""The report of a bench: the medians of its rounds, their ratios, and the goals."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from statistics import median
from typing import Any

from bench.growth import FEW, MANY, REASONS, Times
from bench.markets import ADDED, MATRIX_PAGE, OWN_PAGE
from bench.rounds import BARE, CREATE, KEYED, PGBENCH, SINGLE, START, STEADY, Round
from bench.vault import DECRYPT, ENCRYPT, ROTATION

HEADINGS = {
    "requests_s": "requests/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "application_us": "app µs",
    "postgresql_us": "PostgreSQL µs",
    "redis_us": "Redis µs",
    "own_p50_ms": "own p50 ms",
    "own_p99_ms": "own p99 ms",
}
PAGE_MS = 60
GROWTH = 1.5
"""How many times as long a page may take with many clients as with few."""
LEGEND = "µs: processor time of a request. own: its processing_time_ms."


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The goal of a figure: a maximum, or with `is_minimum` a minimum."""

    goal: float | None = None
    is_minimum: bool = False

    def verdict(self, value: float) -> str:
        """Return whether a value meets the goal."""
        if self.goal is None:
            return ""
        return (
            "met" if (value >= self.goal if self.is_minimum else value <= self.goal) else "missed"
        )

    def judged(self, value: float) -> dict[str, Any]:
        """Return a value, and the goal and the verdict where there is a goal."""
        shown = _short(value)
        if self.goal is None:
            return {"is": shown}
        return {"is": shown, "goal": self.goal, "verdict": self.verdict(shown)}

    def line(self, name: str, facts: Mapping[str, Any]) -> tuple[str, str, str, str]:
        """Return the cells of a figure and its goal in the table."""
        side = "≥" if self.is_minimum else "≤"
        goal = f"{side} {self.goal}" if "goal" in facts else ""
        return name, _shown(facts["is"]), goal, facts.get("verdict", "")


@dataclass(frozen=True)
class Ratio(Goal):
    """A figure of a round that is reported, and its goal if it has one."""

    name: str
    of: Callable[[Round], float]


RATIOS = (
    Ratio(
        "requests/s, of the bare view's",
        lambda r: r[CREATE]["requests_s"] / r[BARE]["requests_s"],
        goal=0.25,
        is_minimum=True,
    ),
    Ratio(
        "processor time of the application, µs", lambda r: r[CREATE]["application_us"], goal=1100
    ),
    Ratio("processing_time_ms, p50", lambda r: r[SINGLE]["own_p50_ms"], goal=2),
    Ratio("processing_time_ms, p99", lambda r: r[SINGLE]["own_p99_ms"], goal=8),
    Ratio("p99 at a steady 100 a second, ms", lambda r: r[STEADY]["p99_ms"], goal=12),
    Ratio("memory a worker, proportional, MiB", lambda r: r[START]["worker_mib"], goal=75),
    Ratio("first answer after the start, s", lambda r: r[START]["health_s"], goal=1.5),
    Ratio("first create after the start, s", lambda r: r[START]["create_s"]),
    Ratio("cores busy with other work meanwhile", lambda r: r[START]["cores_elsewhere"]),
    Ratio(
        "requests/s with a key, of those without",
        lambda r: r[KEYED]["requests_s"] / r[CREATE]["requests_s"],
    ),
    Ratio(
        "processor time of the bare view, of a create's",
        lambda r: r[BARE]["application_us"] / r[CREATE]["application_us"],
    ),
    Ratio(
        "requests/s, of pgbench's with the same statements",
        lambda r: r[CREATE]["requests_s"] / r[PGBENCH]["requests_s"],
    ),
)

JOBS = {
    ENCRYPT: Goal(goal=50),
    DECRYPT: Goal(goal=50),
    ROTATION: Goal(goal=2000, is_minimum=True),
    OWN_PAGE: Goal(goal=100),
    MATRIX_PAGE: Goal(goal=100),
    ADDED: Goal(goal=150),
}
"""What is measured once after the rounds, of the vault and the markets."""


@dataclass(frozen=True)
class Once:
    """What is measured once: page → milliseconds, job → figure, page → its two times."""

    pages: Mapping[str, float]
    jobs: Mapping[str, float]
    growth: Times


def results(
    rounds: Sequence[Round], once: Once, versions: Mapping[str, str], seconds: int
) -> dict[str, Any]:
    """Return the results of a bench: without the machine's name, always in the same order.

    A ratio is the median of the rounds' ratios, because the machine's speed varies between rounds.
    """
    rows = {
        row: {name: _short(median(r[row][name] for r in rounds)) for name in rounds[0][row]}
        for row in rounds[0]
    }
    ratios = {
        ratio.name: ratio.judged(median(map(ratio.of, rounds)))
        for ratio in RATIOS
        if PGBENCH in rows or "pgbench" not in ratio.name
    }
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine() | dict(versions),
        "rounds": len(rounds),
        "seconds_a_load": seconds,
        "ratios": ratios,
        "medians": rows,
        "pages_ms": {name: _short(ms) for name, ms in once.pages.items()},
        "growth_cpu_ms": {
            name: {"few": _short(few), "many": _short(many), "verdict": _growth(name, few, many)}
            for name, (few, many) in once.growth.items()
        },
        "jobs": {name: JOBS[name].judged(value) for name, value in once.jobs.items()},
    }


def table(report: Mapping[str, Any]) -> str:
    """Return the medians as a table, and below it each ratio with its goal and verdict."""
    rows = {row: figures for row, figures in report["medians"].items() if row != START}
    lines = [("", *HEADINGS.values())]
    lines += [
        (row, *(_shown(figures.get(name)) for name in HEADINGS)) for row, figures in rows.items()
    ]
    ratios = [("", "is", "goal", "")] + [
        ratio.line(ratio.name, report["ratios"][ratio.name])
        for ratio in RATIOS
        if ratio.name in report["ratios"]
    ]
    pages = [("pages with much data", "ms", "goal", "")] + [
        (name, _shown(ms), f"≤ {PAGE_MS}", "met" if ms <= PAGE_MS else "missed")
        for name, ms in report["pages_ms"].items()
    ]
    jobs = [("vault and markets", "is", "goal", "")]
    jobs += [JOBS[name].line(name, facts) for name, facts in report["jobs"].items()]
    growth = [("pages as the book grows, CPU", f"{FEW:,} clients, ms", f"{MANY:,}, ms", "")] + [
        (name, _shown(facts["few"]), _shown(facts["many"]), facts["verdict"])
        for name, facts in report["growth_cpu_ms"].items()
    ]
    tables = "\n\n".join(map(_columns, (ratios, pages, jobs, growth)))
    return f"{_columns(lines)}\n{LEGEND}\n\n{tables}"


def text(report: Mapping[str, Any]) -> str:
    """Return the results in the form of the file."""
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _growth(name: str, few: float, many: float) -> str:
    """Return whether a page is as fast with many clients, or why it is not."""
    is_met = many <= min(PAGE_MS, GROWTH * few)
    return "met" if is_met else f"missed: {REASONS[name]}" if name in REASONS else "missed"


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "gunicorn": metadata.version("gunicorn"),
    }


def _short(value: float) -> float:
    """Return a figure with three digits; the others are noise."""
    return float(f"{value:.3g}")


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
