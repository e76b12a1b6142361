"""A Redis of our own on the loopback address."""

import secrets
import socket
from pathlib import Path

from dev import programs
from dev.processes import HOST, Server, Supervisor


def start(supervisor: Supervisor, folder: Path, *, durable: bool) -> str | None:
    """Start Redis with its data in `folder` and return its URL, or None without a Redis."""
    program = programs.redis()
    if program is None:
        return None
    password = secrets.token_urlsafe(24)
    data = folder.resolve() / "redis"
    data.mkdir(0o700, exist_ok=True)
    config = data / "redis.conf"
    config.touch(0o600)

    def create(port: int, log: int) -> Server:
        # in a file, because a process list would show the password
        config.write_text(_config(port, password, data, durable=durable))
        argv = [program, str(config)]
        return Server(argv, port, lambda: _is_ready(port, password), {}, cwd=str(data), stdout=log)

    port = supervisor.start_on_free_port("redis", folder, create)
    return f"redis://:{password}@{HOST}:{port}/0"


def _config(port: int, password: str, data: Path, *, durable: bool) -> str:
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


def _is_ready(port: int, password: str) -> bool:
    # the client library takes longer to import than Redis to start
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\n".encode())
            return connection.recv(16).startswith(b"+OK")
    except OSError:
        return False
