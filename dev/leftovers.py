"""Servers that a killed launcher left behind."""

import signal
from pathlib import Path

import psutil

NAMES = ("postgres", "redis-server")
TIMEOUT_S = 15


def stop_leftovers(folder: Path) -> None:
    """Stop servers that still use `folder`, whose lock the caller holds.

    On Linux they are already stopping by themselves, and this waits for them.
    """
    servers = [
        process
        for process in psutil.process_iter(["name", "cwd", "ppid"])
        if process.info["name"] in NAMES
        and process.info["cwd"]
        and Path(process.info["cwd"]).is_relative_to(folder.resolve())
    ]
    pids = {process.pid for process in servers}
    for process in servers:
        if process.info["ppid"] not in pids:  # PostgreSQL stops its own children
            _end(process, force=False)
    for process in psutil.wait_procs(servers, timeout=TIMEOUT_S)[1]:
        _end(process, force=True)
    # a stale one stops PostgreSQL from starting once another program has its process number
    (folder / "postgres" / "data" / "postmaster.pid").unlink(missing_ok=True)


def _end(process: psutil.Process, *, force: bool) -> None:
    try:
        if force:
            process.kill()
        else:
            process.send_signal(signal.SIGINT)
    except psutil.NoSuchProcess:
        pass
