"""A Redis of our own on the loopback address."""

import secrets
import socket
from pathlib import Path

from dev import programs
from dev.launcher import Launcher
from dev.listening import HOST, serve
from dev.processes import Program


def start(launcher: Launcher, folder: Path, *, durable: bool) -> str | None:
    """Start Redis with its data in `folder` and return its URL; None where there is no Redis."""
    executable = programs.redis()
    if executable is None:
        return None
    password = secrets.token_urlsafe(24)
    data = folder.resolve() / "redis"
    data.mkdir(0o700, exist_ok=True)

    def program(port: int, log: int) -> Program:
        config = _config(port, password, data, durable=durable)
        return Program([executable, "-"], given=config, output=log, cwd=data)

    port = serve(launcher, "redis", folder, program, lambda port: _answers(port, password))
    return f"redis://:{password}@{HOST}:{port}/0"


def _config(port: int, password: str, data: Path, *, durable: bool) -> str:
    """Return what Redis reads from its input: there no process list shows the password."""
    quoted = str(data).replace("\\", "\\\\").replace('"', '\\"')
    return f"""
bind {HOST}
port {port}
requirepass {password}
dir "{quoted}"
save {"60 1" if durable else '""'}
appendonly no
daemonize no
"""


def _answers(port: int, password: str) -> bool:
    # the client library takes longer to import than Redis to start
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\n".encode())
            return connection.recv(16).startswith(b"+OK")
    except OSError:
        return False
