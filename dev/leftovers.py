"""Servers that a killed launcher left behind."""

import signal
from contextlib import suppress
from pathlib import Path

import psutil


def stop_leftovers(folder: Path) -> None:
    """Stop servers that still use `folder`; on Linux they are stopping already."""
    servers = {
        process.pid: process
        for process in psutil.process_iter(["name", "cwd", "ppid"])
        if process.info["name"] in {"postgres", "redis-server"}
        and Path(process.info["cwd"] or "/").is_relative_to(folder.resolve())
    }
    # PostgreSQL stops its own children
    parents = [process for process in servers.values() if process.info["ppid"] not in servers]
    for signum in (signal.SIGINT, signal.SIGKILL):
        for process in parents:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signum)
        _, parents = psutil.wait_procs(parents, timeout=15)
    # a stale one stops PostgreSQL from starting once another program has its process number
    (folder / "postgres" / "data" / "postmaster.pid").unlink(missing_ok=True)
