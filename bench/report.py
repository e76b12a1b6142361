"""The report of a bench: the medians of its rounds, their ratios, and the goals."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from statistics import mean, median
from typing import Any

from bench.batch import APPLICATION, BATCH, POSTGRESQL, SHARE
from bench.growth import FEW, MANY, REASONS, Times
from bench.machines import (
    AGENT_MIB,
    AGENT_START,
    LEASE_MANY,
    LEASE_ONE,
    OPEN,
    POLL,
    RESTART,
    SEAL,
    STOP,
)
from bench.markets import ADDED, COVERAGE_PAGE, OWN_PAGE
from bench.metrics import SCRAPE
from bench.rounds import (
    BARE,
    BARE_STEADY,
    CREATE,
    DRF,
    FASTAPI,
    KEYED,
    PGBENCH,
    SINGLE,
    START,
    STEADY,
    Round,
    Rows,
)
from bench.vault import DECRYPT, ENCRYPT, ROTATION

HEADINGS = {
    "requests_s": "requests/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "application_us": "app µs",
    "of_bare": "of bare",
    "postgresql_us": "PostgreSQL µs",
    "redis_us": "Redis µs",
    "own_p50_ms": "own p50 ms",
    "own_p99_ms": "own p99 ms",
}
PAGE_MS = 60
GROWTH = 1.5
"""How many times as long a page may take with many clients as with few."""
LEGEND = (
    "µs: processor time of a request. of bare: app µs, of the bare view's. own: its"
    " processing_time_ms."
)
NOISE = "noise: the difference between the two halves of a round, of their mean."
NOT_ON_BARE = (SINGLE, START)
"""Rows of loads for which the bare view has no row of its own."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The goal of a figure and a stretch goal: maxima, or with `is_minimum` minima."""

    goal: float | None = None
    stretch: float | None = None
    is_minimum: bool = False

    def verdict(self, value: float) -> str:
        """Return whether a value meets the goal, and the stretch goal."""
        if self._is_met(self.stretch, value):
            return "stretch met"
        return "met" if self._is_met(self.goal, value) else "missed"

    def judged(self, value: float) -> dict[str, Any]:
        """Return a value, and the goals and the verdict where there is a goal."""
        shown = _short(value)
        if self.goal is None:
            return {"is": shown}
        goals = {"goal": self.goal} | ({"stretch": self.stretch} if self.stretch else {})
        return {"is": shown, **goals, "verdict": self.verdict(shown)}

    def line(self, name: str, facts: Mapping[str, Any]) -> tuple[str, str, str, str]:
        """Return the cells of a figure and its goal in the table."""
        return name, _shown(facts["is"]), self.limit(facts.get("goal")), facts.get("verdict", "")

    def limit(self, value: float | None) -> str:
        """Return a goal with its sign, empty if there is none."""
        return "" if value is None else f"{'≥' if self.is_minimum else '≤'} {value:g}"

    def _is_met(self, goal: float | None, value: float) -> bool:
        if goal is None:
            return False
        return value >= goal if self.is_minimum else value <= goal


@dataclass(frozen=True)
class Ratio(Goal):
    """A figure of a round that is reported, and its goal if it has one."""

    name: str
    of: Callable[[Rows], float]

    def line_with_noise(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the cells of the ratio in its table."""
        name, value, goal, verdict = self.line(self.name, facts)
        noise = "" if facts.get("noise") is None else f"{facts['noise']:.0%}"
        return name, value, noise, goal, self.limit(facts.get("stretch")), verdict


def _rate(row: str, other: str) -> Callable[[Rows], float]:
    """Return the ratio of two loads' requests a second."""
    return lambda rows: rows[row]["requests_s"] / rows[other]["requests_s"]


def _processor_time(other: str) -> Callable[[Rows], float]:
    """Return the ratio of the processor time of a create to another's, of all servers."""
    return lambda rows: _all_us(rows[CREATE]) / _all_us(rows[other])


def _all_us(figures: Mapping[str, float]) -> float:
    return sum(value for name, value in figures.items() if name.endswith("_us"))


RATIOS = (
    Ratio(
        "requests/s, of the bare view's",
        _rate(CREATE, BARE),
        goal=0.13,
        stretch=0.2,
        is_minimum=True,
    ),
    Ratio(
        "requests/s, of FastAPI's", _rate(CREATE, FASTAPI), goal=0.9, stretch=1.3, is_minimum=True
    ),
    Ratio(
        "requests/s, of Django REST framework's",
        _rate(CREATE, DRF),
        goal=1.4,
        stretch=2.2,
        is_minimum=True,
    ),
    Ratio(
        "processor time of the application, of the bare view's",
        lambda r: r[CREATE]["application_us"] / r[BARE]["application_us"],
        goal=6,
        stretch=4,
    ),
    Ratio("processor time of all servers, of FastAPI's", _processor_time(FASTAPI)),
    Ratio("processor time of all servers, of Django REST framework's", _processor_time(DRF)),
    Ratio(
        "p99 at a steady 100 a second, of the bare view's",
        lambda r: r[STEADY]["p99_ms"] / r[BARE_STEADY]["p99_ms"],
        goal=2.5,
        stretch=1.5,
    ),
    Ratio("p99 at a steady 100 a second, ms", lambda r: r[STEADY]["p99_ms"]),
    Ratio("processing_time_ms, p50", lambda r: r[SINGLE]["own_p50_ms"], goal=2),
    Ratio("processing_time_ms, p99", lambda r: r[SINGLE]["own_p99_ms"], goal=8),
    Ratio("memory a worker, proportional, MiB", lambda r: r[START]["worker_mib"], goal=75),
    Ratio("first answer after the start, s", lambda r: r[START]["health_s"], goal=1.5),
    Ratio("first create after the start, s", lambda r: r[START]["create_s"]),
    Ratio("cores busy with other work meanwhile", lambda r: r[START]["cores_elsewhere"]),
    Ratio("requests/s with a key, of those without", _rate(KEYED, CREATE)),
    Ratio("requests/s, of pgbench's with the same statements", _rate(CREATE, PGBENCH)),
)

JOBS = {
    ENCRYPT: Goal(goal=50),
    DECRYPT: Goal(goal=50),
    ROTATION: Goal(goal=2000, is_minimum=True),
    OWN_PAGE: Goal(goal=100),
    COVERAGE_PAGE: Goal(goal=100),
    ADDED: Goal(goal=150),
    BATCH: Goal(goal=150),
    SCRAPE: Goal(goal=20),
    APPLICATION: Goal(),
    POSTGRESQL: Goal(),
    SHARE: Goal(goal=0.15, is_minimum=True),
    SEAL: Goal(),
    OPEN: Goal(),
    POLL: Goal(goal=1000),
    LEASE_ONE: Goal(goal=25),
    LEASE_MANY: Goal(goal=25),
    RESTART: Goal(goal=15),
    STOP: Goal(goal=1),
    AGENT_START: Goal(goal=300),
    AGENT_MIB: Goal(goal=40),
}
"""What is measured once after the rounds: vault, markets, batches of clients, machines."""


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
    means = [_mean(*halves) for halves in rounds]
    rows = {
        row: {name: _short(median(r[row][name] for r in means)) for name in figures}
        for row, figures in means[0].items()
    }
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine() | dict(versions),
        "rounds": len(rounds),
        "seconds_a_load": seconds,
        "ratios": _ratios(rounds, means),
        "medians": rows,
        "pages_ms": {name: _short(ms) for name, ms in once.pages.items()},
        "growth_cpu_ms": {
            name: {"few": _short(few), "many": _short(many), "verdict": _growth(name, few, many)}
            for name, (few, many) in once.growth.items()
        },
        "jobs": {name: JOBS[name].judged(value) for name, value in once.jobs.items()},
    }


def _mean(first: Rows, second: Rows) -> Rows:
    """Return the mean of a round's two halves, with the ratios to the bare view."""
    rows: dict[str, dict[str, float]] = {
        row: {name: mean((value, second[row][name])) for name, value in figures.items()}
        for row, figures in first.items()
    }
    for row, figures in rows.items():
        if "application_us" in figures and row not in NOT_ON_BARE:
            bare = rows[BARE_STEADY if row == STEADY else BARE]
            figures["of_bare"] = figures["application_us"] / bare["application_us"]
    return rows


def _ratios(rounds: Sequence[Round], means: Sequence[Rows]) -> dict[str, Any]:
    """Return each ratio whose loads were played, with its noise where they were played twice."""
    judged = {}
    for ratio in RATIOS:
        try:
            facts = ratio.judged(median(map(ratio.of, means)))
        except KeyError:  # pgbench or the peers are not installed
            continue
        spreads = [_spread(ratio.of(first), ratio.of(second)) for first, second in rounds]
        noise = {"noise": _short(median(spreads))} if any(spreads) else {}
        judged[ratio.name] = {"is": facts.pop("is"), **noise, **facts}
    return judged


def _spread(first: float, second: float) -> float:
    """Return the difference of two values, of their mean."""
    return abs(first - second) / mean((first, second))


def table(report: Mapping[str, Any]) -> str:
    """Return the medians as a table, and below it each ratio with its goals and verdict."""
    rows = {row: figures for row, figures in report["medians"].items() if row != START}
    lines = [("", *HEADINGS.values())]
    lines += [
        (row, *(_shown(figures.get(name)) for name in HEADINGS)) for row, figures in rows.items()
    ]
    ratios = [("", "is", "noise", "goal", "stretch", "")] + [
        ratio.line_with_noise(report["ratios"][ratio.name])
        for ratio in RATIOS
        if ratio.name in report["ratios"]
    ]
    pages = [("pages with much data", "ms", "goal", "")] + [
        (name, _shown(ms), f"≤ {PAGE_MS}", "met" if ms <= PAGE_MS else "missed")
        for name, ms in report["pages_ms"].items()
    ]
    jobs = [("vault, markets and batches", "is", "goal", "")]
    jobs += [JOBS[name].line(name, facts) for name, facts in report["jobs"].items()]
    growth = [("pages as the book grows, CPU", f"{FEW:,} clients, ms", f"{MANY:,}, ms", "")] + [
        (name, _shown(facts["few"]), _shown(facts["many"]), facts["verdict"])
        for name, facts in report["growth_cpu_ms"].items()
    ]
    tables = "\n\n".join(map(_columns, (pages, jobs, growth)))
    return f"{_columns(lines)}\n{LEGEND}\n\n{_columns(ratios)}\n{NOISE}\n\n{tables}"


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
