"""A gunicorn of this checkout on the loopback address, and calls to it."""

import http.client
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from dev.launcher import Launcher
from dev.listening import HOST
from dev.processes import Program, Running

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0
"""Seconds that gunicorn may need until it answers."""


def start(
    launcher: Launcher,
    environment: Mapping[str, str],
    words: Sequence[str] = ("wsgi:app",),
    output: int | None = None,
) -> Running:
    """Start gunicorn on the `PORT` of its environment; `words` say what it serves."""
    argv = [sys.executable, "-m", "gunicorn", *words]
    return launcher.start(Program(argv, env=environment, cwd=ROOT, output=output))


def is_ready(running: Running, port: int) -> bool:
    """Wait until it answers; return whether it did, in time and before it ended."""
    deadline = time.monotonic() + PATIENCE
    while running.process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if call(port, "GET", "/health")[0] == 200:
                return True
        time.sleep(0.01)
    return False


def call(
    port: int,
    method: str,
    path: str,
    body: Mapping[str, str] | None = None,
    token: str | None = None,
) -> tuple[int, bytes]:
    """Return status and body of one call."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    # http.client, for it heeds no proxy settings
    with closing(http.client.HTTPConnection(HOST, port, timeout=10)) as connection:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        return response.status, response.read()
