"""Servers that outlived both their launcher and its watchdog."""

import os
import signal
import subprocess
import time
from pathlib import Path

from dev.errors import CannotStart


def end(data: Path) -> None:
    """Stop the PostgreSQL that still serves a data folder, and forget one that no longer does.

    The caller holds the folder's lock, so no launcher is using it. Raise `CannotStart` if it stays.
    """
    for signum, patience in ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0)):
        if not (pid := _server(data)):
            # else PostgreSQL would not start once another program has got that number
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
        os.kill(pid, signum)
        deadline = time.monotonic() + patience
        while _server(data) and time.monotonic() < deadline:
            time.sleep(0.05)
    if pid := _server(data):
        raise CannotStart(f"A PostgreSQL of an earlier start does not stop: end process {pid}.")


def _server(data: Path) -> int | None:
    """Return the process that serves a data folder, told from its command line."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    words = _command(pid)
    return pid if "postgres" in words and str(data) in words else None


def _command(pid: int) -> str:
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
