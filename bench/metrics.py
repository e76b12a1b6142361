"""A scrape of the metrics, after pages and calls of many kinds on both workers."""

import secrets
import time
from contextlib import closing
from http.client import HTTPConnection
from statistics import median

from bench.load import WrongAnswer
from bench.pages import PATHS, TIMES, answer, get, sign_in
from bench.stage import Stage
from dev.processes import HOST

SCRAPE = "a scrape of the metrics, ms"
CALLS = 10
"""Of each page. Connections are spread over the workers."""
COUNTED = 'pipelabs_audit_events_total{event="admin.signed_in",status="SUCCESS"} '


def play(stage: Stage) -> dict[str, float]:
    """Return how long a scrape takes. Raise `WrongAnswer` if it lacks a worker's counts."""
    token = secrets.token_urlsafe(48)
    with stage.application(METRICS_TOKEN=token) as app:
        for _ in range(CALLS):
            with closing(HTTPConnection(HOST, app.port, timeout=30)) as console:
                cookie = sign_in(console, stage.password)
                for path in PATHS.values():
                    if "{" not in path:
                        get(console, path, cookie)
        with closing(HTTPConnection(HOST, app.port, timeout=30)) as scraper:
            times, headers = [], {"Authorization": f"Bearer {token}"}
            for _ in range(TIMES):
                begun = time.perf_counter()
                text, _ = answer(scraper, "GET", "/metrics", headers)
                times.append((time.perf_counter() - begun) * 1000)
    if f"{COUNTED}{CALLS}.0" not in text:
        raise WrongAnswer(f"The metrics do not have {CALLS} sign-ins:\n{text}")
    return {SCRAPE: median(times)}
