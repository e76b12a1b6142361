"""Count and time what this process does, and write it in the format of Prometheus.

Labels are names from our own code, such as routes and events. They are never a path, or what people
or clients are called. Under gunicorn each worker writes to files of its own, and the worker that is
asked adds up all files.

Requests, statements and waits are appended to a queue, and added to the metrics together: one by
one, while a request is served, it would take five times as long.
"""

import fcntl
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]
OWN = CollectorRegistry()
"""Without the library's own metrics of the process, which know one process only."""
REQUEST_BUCKETS = (0.01, 0.05, 0.25, 1, 5)
STATEMENT_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2)
WAIT_BUCKETS = (0.001, 0.01, 0.1, 1, 3)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""A method that HTTP does not have, and the route of a request that matches none."""
ENDED = "0"
"""In place of the process in the name of the file for workers that have ended."""
MAX_QUEUED = 500
"""Requests that wait to be added where no thread does it."""
MAX_TIMES = 10_000
"""Times that wait at most: a command and the worker of background jobs add none."""
KIND = itemgetter("event", "status")
Item = TypeVar("Item")

REQUESTS = Counter(
    "pipelabs_http_requests",
    "Requests, by route, method and status of the response.",
    ("route", "method", "status"),
    registry=OWN,
)
REQUEST_SECONDS = Histogram(
    "pipelabs_http_request_duration_seconds",
    "Time from the first byte handled to the response.",
    ("route", "method"),
    buckets=REQUEST_BUCKETS,
    registry=OWN,
)
AUDIT_EVENTS = Counter(
    "pipelabs_audit_events",
    "Committed audit rows, by event and status.",
    ("event", "status"),
    registry=OWN,
)
LIMIT_DENIALS = Counter(
    "pipelabs_limit_denials",
    "Requests denied by a rate limit, by budget.",
    ("budget",),
    registry=OWN,
)
EXAMINATIONS = Counter(
    "pipelabs_key_examinations",
    "Examinations of API keys at their exchange, by outcome.",
    ("exchange", "outcome"),
    registry=OWN,
)
REPLICA_READS = Counter(
    "pipelabs_replica_reads",
    "Reads that a replica may answer, by the server that did.",
    ("server",),
    registry=OWN,
)
STATEMENT_SECONDS = Histogram(
    "pipelabs_database_statement_duration_seconds",
    "Time of a message to PostgreSQL until its answer.",
    buckets=STATEMENT_BUCKETS,
    registry=OWN,
)
POOL_WAIT_SECONDS = Histogram(
    "pipelabs_database_pool_wait_seconds",
    "Time to get a connection from the pool.",
    buckets=WAIT_BUCKETS,
    registry=OWN,
)
POOL_IN_USE = Gauge(
    "pipelabs_database_pool_connections_in_use",
    "Connections to PostgreSQL in use, in all workers.",
    multiprocess_mode="livesum",
    registry=OWN,
)
POOL_MAX = Gauge(
    "pipelabs_database_pool_connections_max",
    "Most connections that all workers may have.",
    multiprocess_mode="livesum",
    registry=OWN,
)
LIMITS_IN_MEMORY = Gauge(
    "pipelabs_limits_in_memory",
    "1 while a worker counts rate limits in its memory, not in Redis.",
    multiprocess_mode="livemax",
    registry=OWN,
)


class Request(NamedTuple):
    """A request that was served. `route` is the template that its path matches."""

    route: str
    method: str
    status: int
    seconds: float


requests: deque[Request] = deque()
"""Requests that are not counted yet."""
statements: deque[float] = deque(maxlen=MAX_TIMES)
"""Seconds of statements that are not counted yet. Append to it."""
pool_waits: deque[float] = deque(maxlen=MAX_TIMES)
"""Seconds until the pool returned a connection, not counted yet. Append to it."""


def count_request(request: Request) -> None:
    """Count a request and its time."""
    requests.append(request)
    if len(requests) > MAX_QUEUED:
        flush()


def flush() -> None:
    """Add to the metrics what waits for it."""
    for request in _drain(requests):
        method = request.method if request.method in METHODS else OTHER
        counter, histogram = _request_series(request.route, method, request.status)
        counter.inc()
        histogram.observe(request.seconds)
    for queue, histogram in ((statements, STATEMENT_SECONDS), (pool_waits, POOL_WAIT_SECONDS)):
        for seconds in _drain(queue):
            histogram.observe(seconds)


def count_audit_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Count audit rows that have been committed, at once, so that no row is left out."""
    for (event, status), group in groupby(rows, KIND):
        _audit_series(event, status).inc(len(list(group)))


def count_limit_denial(budget: str) -> None:
    """Count a request that a rate limit has denied."""
    LIMIT_DENIALS.labels(budget).inc()


def count_read(server: str) -> None:
    """Count a read that a replica may answer. The server is `replica` or `primary`."""
    REPLICA_READS.labels(server).inc()


def count_examination(exchange: str, outcome: str) -> None:
    """Count an examination of an API key. The outcome is a failure, or what it says."""
    EXAMINATIONS.labels(exchange, outcome).inc()


def render(collectors: Iterable[Collector], folder: str = "") -> bytes:
    """Return all metrics as text. `folder` has the files of the workers, if there are any."""
    flush()
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    if not folder:
        registry.register(OWN)
        return generate_latest(registry)
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    with _lock(folder, fcntl.LOCK_SH):
        return generate_latest(registry)


def forget_process(process: int, folder: str) -> None:
    """Add the counts of a worker that has ended to those of earlier ones, and delete its files.

    The library would keep two files for each worker that ever was, and read all at each scrape.
    They are kept if a scrape reads them now: the master must not wait for a worker.
    """
    mark_process_dead(process, folder)  # type: ignore[no-untyped-call]
    with suppress(BlockingIOError), _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for kind in ("counter", "histogram"):
            file = Path(folder, f"{kind}_{process}.db")
            if file.exists():
                _add_values(file, Path(folder, f"{kind}_{ENDED}.db"))
                file.unlink()


def _add_values(source: Path, target: Path) -> None:
    values: Any = MmapedDict.read_all_values_from_file(str(source))  # type: ignore[no-untyped-call]
    sums: Any = MmapedDict(str(target))  # type: ignore[no-untyped-call]
    for key, value, *_ in values:
        sum_so_far, _ = sums.read_value(key)
        sums.write_value(key, sum_so_far + value, 0.0)
    sums.close()


@contextmanager
def _lock(folder: str, kind: int) -> Iterator[None]:
    """Let no scrape read while the counts of a worker are in two files, or in none."""
    with Path(folder, "lock").open("ab") as file:
        fcntl.flock(file, kind)
        yield


def _drain(queue: deque[Item]) -> Iterator[Item]:
    with suppress(IndexError):
        while True:
            yield queue.popleft()


@cache
def _request_series(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(route, method, status), REQUEST_SECONDS.labels(route, method)


@cache
def _audit_series(event: str, status: str) -> Counter:
    return AUDIT_EVENTS.labels(event, status)
