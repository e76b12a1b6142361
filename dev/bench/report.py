"""What a bench found: the medians of its rounds, their ratios, and the goals beside them."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from statistics import median
from typing import Any

from dev.bench.rounds import BARE, CREATE, KEYED, PGBENCH, SINGLE, START, STEADY, Round

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
LEGEND = "µs: processor time of a request. own: its processing_time_ms."


@dataclass(frozen=True)
class Ratio:
    """A figure that counts, and its goal if it has one; `least` says on which side that is."""

    name: str
    of: Callable[[Round], float]
    goal: float | None = None
    least: bool = False

    def verdict(self, value: float) -> str:
        """Return whether a value meets the goal."""
        if self.goal is None:
            return ""
        return "met" if (value >= self.goal if self.least else value <= self.goal) else "missed"


RATIOS = (
    Ratio(
        "requests/s, of the bare view's",
        lambda r: r[CREATE]["requests_s"] / r[BARE]["requests_s"],
        0.25,
        least=True,
    ),
    Ratio("processor time of the application, µs", lambda r: r[CREATE]["application_us"], 1100),
    Ratio("processing_time_ms, p50", lambda r: r[SINGLE]["own_p50_ms"], 2),
    Ratio("processing_time_ms, p99", lambda r: r[SINGLE]["own_p99_ms"], 8),
    Ratio("p99 at a steady 100 a second, ms", lambda r: r[STEADY]["p99_ms"], 12),
    Ratio("memory a worker, proportional, MiB", lambda r: r[START]["worker_mib"], 75),
    Ratio("first answer after the start, s", lambda r: r[START]["health_s"], 1.5),
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


def results(
    rounds: Sequence[Round], pages: Mapping[str, float], versions: Mapping[str, str], seconds: int
) -> dict[str, Any]:
    """Return what is kept of a bench: no name of a machine, and always in the same order.

    A ratio is the median of the rounds' ratios, for the machine's speed drifts between rounds.
    """
    rows = {
        row: {name: _short(median(r[row][name] for r in rounds)) for name in rounds[0][row]}
        for row in rounds[0]
    }
    ratios = {
        ratio.name: _judged(ratio, _short(median(map(ratio.of, rounds))))
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
        "pages_ms": {name: _short(ms) for name, ms in pages.items()},
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the medians as a table, and below it each ratio with its goal and verdict."""
    rows = {row: figures for row, figures in found["medians"].items() if row != START}
    lines = [("", *HEADINGS.values())]
    lines += [
        (row, *(_shown(figures.get(name)) for name in HEADINGS)) for row, figures in rows.items()
    ]
    goals = {ratio.name: f"{'≥' if ratio.least else '≤'} {ratio.goal}" for ratio in RATIOS}
    ratios = [("", "is", "goal", "")] + [
        (
            name,
            _shown(facts["is"]),
            goals[name] if "goal" in facts else "",
            facts.get("verdict", ""),
        )
        for name, facts in found["ratios"].items()
    ]
    pages = [("pages over a large book", "ms", "goal", "")] + [
        (name, _shown(ms), f"≤ {PAGE_MS}", "met" if ms <= PAGE_MS else "missed")
        for name, ms in found["pages_ms"].items()
    ]
    return f"{_columns(lines)}\n{LEGEND}\n\n{_columns(ratios)}\n\n{_columns(pages)}"


def text(found: Mapping[str, Any]) -> str:
    """Return the results as the file has them."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "gunicorn": metadata.version("gunicorn"),
    }


def _judged(ratio: Ratio, value: float) -> dict[str, Any]:
    if ratio.goal is None:
        return {"is": value}
    return {"is": value, "goal": ratio.goal, "verdict": ratio.verdict(value)}


def _short(value: float) -> float:
    """Return three digits of a figure: the others are noise."""
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
