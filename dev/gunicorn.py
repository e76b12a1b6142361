"""A gunicorn of this checkout on the loopback address, and calls to it."""

import http.client
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing

from dev.processes import HOST, Server


def command(port: int, words: Sequence[str] = ("wsgi:app",)) -> list[str]:
    """Return the command of a gunicorn on the port; `words` name what it serves."""
    return [sys.executable, "-m", "gunicorn", "--bind", f"{HOST}:{port}", *words]


def server(
    environment: Mapping[str, str], port: int, argv: Sequence[str] = (), log: int | None = None
) -> Server:
    """Return a server that is ready when it answers `GET /health`, by default the application."""
    argv = argv or command(port)
    return Server(argv, port, lambda: _is_ready(port), environment, stdout=log)


def call(
    port: int, method: str, path: str, body: Mapping[str, str] | None = None, token: str = ""
) -> tuple[int, bytes]:
    """Return status and body of one call."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    # http.client ignores proxy settings
    with closing(http.client.HTTPConnection(HOST, port, timeout=10)) as connection:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        return response.status, response.read()


def _is_ready(port: int) -> bool:
    try:
        return call(port, "GET", "/health")[0] == 200
    except (OSError, http.client.HTTPException):
        return False
