"""One round: each load once, on a newly started application."""

import os
import time
from collections.abc import Callable, Mapping

from bench import load, statements, usage
from bench.load import Loaded, percentile
from bench.stage import Serving, Stage

BARE = "bare view, 32 connections"
CREATE = "create, 32 connections"
KEYED = "create with a key, 32 connections"
PGBENCH = "pgbench, 32 connections"
SINGLE = "create, 1 connection"
STEADY = "create, 100 a second"
START = "start and memory"
CONNECTIONS, RATE = 32, 100

Round = Mapping[str, Mapping[str, float]]
"""Row → measure → figure."""


def play(stage: Stage, bare: Serving, seconds: int) -> Round:
    """Return the figures of one round in which each load takes `seconds`."""
    begun, before = time.monotonic(), _elsewhere()
    with stage.application() as app:
        _wrk(stage, app, 1)  # the first requests open connections and compile statements
        rows = {
            BARE: _row(stage, bare, lambda: _wrk(stage, bare, seconds)),
            CREATE: _row(stage, app, lambda: _wrk(stage, app, seconds)),
            KEYED: _row(stage, app, lambda: _wrk(stage, app, seconds, KEYED="1")),
        }
        if pgbench := stage.pgbench:
            rows[PGBENCH] = _row(stage, None, lambda: _pgbench(stage, pgbench, seconds))
        one = {"CONNECTIONS": "1", "TIMED": "1"}
        rows[SINGLE] = _row(stage, app, lambda: _wrk(stage, app, seconds, **one))
        rows[STEADY] = _row(
            stage, app, lambda: load.paced(app.port, stage.token, RATE, max(seconds, 2))
        )
        workers = usage.family(app.pid)[1:]
        rows[START] = {
            "health_s": app.health_s,
            "create_s": app.create_s,
            "worker_mib": max(map(usage.proportional_mib, workers)),
            "cores_elsewhere": (_elsewhere() - before) / (time.monotonic() - begun),
        }
    return rows


def _elsewhere() -> float:
    """Return the processor time of all processes but ours and our children."""
    return usage.machine_seconds() - usage.cpu_seconds(os.getpid())


def _row(stage: Stage, server: Serving | None, run: Callable[[], Loaded]) -> Mapping[str, float]:
    """Return a load's figures, and what each server spent on one request."""
    watched = dict(stage.stores)
    if server:
        watched = {"application": server.pid, **watched}
    before = {name: usage.cpu_seconds(pid) for name, pid in watched.items()}
    loaded = run()
    spent = {name: usage.cpu_seconds(pid) - before[name] for name, pid in watched.items()}
    figures = {
        "requests_s": loaded.requests / loaded.seconds,
        "p50_ms": loaded.p50_ms,
        "p99_ms": loaded.p99_ms,
        **{f"{name}_us": cpu / loaded.requests * 1e6 for name, cpu in spent.items()},
    }
    if loaded.own_ms:
        figures["own_p50_ms"] = percentile(loaded.own_ms, 0.5)
        figures["own_p99_ms"] = percentile(loaded.own_ms, 0.99)
    return figures


def _wrk(stage: Stage, server: Serving, seconds: int, **variables: str) -> Loaded:
    settings = {"CONNECTIONS": str(CONNECTIONS), "TOKEN": stage.token, **variables}
    return load.wrk(stage.wrk, server.port, seconds, settings)


def _pgbench(stage: Stage, pgbench: str, seconds: int) -> Loaded:
    numbers = {"connections": CONNECTIONS, "seconds": seconds}
    url = stage.environment["DATABASE_URL"]
    return statements.run(pgbench, url, stage.script, numbers)
