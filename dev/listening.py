"""Ports of the loopback address, and the programs that listen there."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dev.errors import CannotStart
from dev.launcher import Launcher
from dev.processes import Program, Running

HOST = "127.0.0.1"
PATIENCE = 30.0
"""Seconds that a server may need until it answers; a PostgreSQL that was killed repairs itself."""


def is_free(port: int) -> bool:
    """Whether a server could listen on the port."""
    with closing(socket.socket()) as probe:
        # servers do the same, so closed connections that linger do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def serve(
    launcher: Launcher,
    name: str,
    folder: Path,
    program: Callable[[int, int], Program],
    answers: Callable[[int], bool],
) -> int:
    """Start a server and return its port once it answers there: last time's port if it is free.

    `program` makes it from the port and the descriptor of its log. Raise `CannotStart` with the
    log's end if it fails for another reason than a port that was taken in between.
    """
    note = folder / f"{name}.port"
    for _ in range(5):
        port = _choose(note)
        log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            running = launcher.start(program(port, log))
        finally:
            os.close(log)
        if _ready(running, port, answers):
            note.write_text(str(port))
            return port
        if is_free(port):
            break
    end = (folder / f"{name}.log").read_text(errors="replace")[-2000:]
    raise CannotStart(f"{name} did not start; the end of its log:\n{end}")


def _choose(note: Path) -> int:
    last = int(note.read_text() or 0) if note.exists() else 0
    if last and is_free(last):
        return last
    return free_port()


def _ready(running: Running, port: int, answers: Callable[[int], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while running.process.poll() is None and time.monotonic() < deadline:
        if answers(port):
            return True
        time.sleep(0.02)
    return False
