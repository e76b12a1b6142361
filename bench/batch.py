"""Clients created 500 in a call, compared with a bare COPY of as many rows into the same table."""

import io
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

import psycopg2

from bench.load import WrongAnswer
from bench.pages import answer
from bench.stage import Stage
from bench.usage import cpu_seconds
from dev.processes import HOST

BATCH = "500 clients in one call, ms"
APPLICATION = "500 clients in one call, processor time of the application, ms"
POSTGRESQL = "500 clients in one call, processor time of PostgreSQL, ms"
SHARE = "clients/s in one call, of a bare COPY's"
PATH = "/api/admin/clients:batch"
SIZE = 500
CALLS, FEWEST, WARM_UPS = 31, 3, 6
"""In the first calls the workers compile their statements."""
COLUMNS = ("name", "wallet_address", "email", "tier", "notes")
COPY = f"""
COPY clients ({", ".join(COLUMNS)}, id, created_at, updated_at, chain, status, settings, version)
FROM STDIN
"""
SHARED = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "evm", "active", "{}", "1")
COUNT = """
SELECT count(clients.id), count(*) FROM audit_events
LEFT JOIN clients ON clients.id = client_id
WHERE event = 'client.created' AND request_id = ANY(%s)
"""


def play(stage: Stage, share: float = 1) -> dict[str, float]:
    """Return how long a call takes, what it costs, and its rate as a share of a COPY's.

    Calls and copies take turns. The constraints, the indexes and a durable commit are the same.
    """
    count = max(int(CALLS * share), FEWEST)
    url = stage.environment["DATABASE_MIGRATION_URL"]
    with (
        stage.application() as app,
        closing(HTTPConnection(HOST, app.port, timeout=30)) as desk,
        closing(psycopg2.connect(url)) as connection,
    ):
        connection.autocommit = True
        cursor = connection.cursor()
        requests = [_create(desk, stage.token)[0] for _ in range(WARM_UPS)]
        servers = {APPLICATION: app.pid, POSTGRESQL: stage.stores["postgresql"]}
        spent = dict.fromkeys(servers, 0.0)
        calls, copies = [], []
        for _ in range(count):
            before = {name: cpu_seconds(pid) for name, pid in servers.items()}
            request, ms = _create(desk, stage.token)
            for name, pid in servers.items():
                spent[name] += cpu_seconds(pid) - before[name]
            requests.append(request)
            calls.append(ms)
            copies.append(_copy(cursor))
        _reject_gaps(cursor, requests, Path(stage.environment["AUDIT_LOG_FILE"]))
    cpu = {name: seconds * 1000 / count for name, seconds in spent.items()}
    return {BATCH: median(calls), **cpu, SHARE: median(copies) / median(calls)}


def _clients() -> Iterator[Mapping[str, str]]:
    for number in range(SIZE):
        digits = secrets.token_hex(20)
        values = (
            f"Client {number}",
            f"0x{digits}",
            f"{digits[:12]}@example.com",
            "Premium",
            "High volume trader",
        )
        yield dict(zip(COLUMNS, values, strict=True))


def _create(desk: HTTPConnection, token: str) -> tuple[str, float]:
    """Create clients. Return the id of the request, and the milliseconds that the call took."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps({"clients": list(_clients())})
    begun = time.perf_counter()
    text, _ = answer(desk, "POST", PATH, headers, body)
    ms = (time.perf_counter() - begun) * 1000
    return json.loads(text)["request_id"], ms


def _copy(cursor: Any) -> float:
    """Copy clients into the table. Return the milliseconds that it took."""
    ids = (secrets.token_hex(16) for _ in range(SIZE))
    rows = ("\t".join([*row.values(), next(ids), *SHARED]) for row in _clients())
    file = io.StringIO("".join(f"{row}\n" for row in rows))
    begun = time.perf_counter()
    cursor.copy_expert(COPY, file)
    return (time.perf_counter() - begun) * 1000


def _reject_gaps(cursor: Any, requests: list[str], file: Path) -> None:
    """Raise `WrongAnswer` unless each client of these requests has its audit row and line."""
    cursor.execute(COUNT, (requests,))
    clients, rows = cursor.fetchone()
    with file.open() as lines:
        count = sum(line.split(" | ")[2] in requests for line in lines)
    if not clients == rows == count == SIZE * len(requests):
        raise WrongAnswer(f"{clients} clients, {rows} audit rows and {count} audit lines.")
