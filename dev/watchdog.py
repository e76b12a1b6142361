"""What outlives a killed launcher: the lock on its folder, and a shell that stops its programs."""

import fcntl
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dev.errors import CannotStart

SCRIPT = r"""
trap '' HUP INT TERM
plan=
while read -r line; do plan=$line; done

wait_for() { # target, tenths of a second
  tenths=$2
  while [ "$tenths" -gt 0 ] && kill -s 0 -- "$1"; do sleep 0.1; tenths=$((tenths - 1)); done
}
set -- $plan
while [ $# -gt 0 ]; do kill -s "$1" -- "$2"; wait_for "$2" 10; shift 3; done
set -- $plan
while [ $# -gt 0 ]; do wait_for "$2" 50; kill -s KILL -- "$3"; shift 3; done
[ -z "$FOLDER" ] || rm -rf -- "$FOLDER"
"""
"""Reads plans until the launcher's end of the pipe closes, then follows the last one.

A plan is one line of triples: signal, whom to send it, whom to kill if that did not help.
"""

PATIENCE = 15.0
"""Seconds that a killed launcher's watchdog may need before its folder is free."""


class Watchdog:
    """A shell in a session of its own that stops what a plan names once this process is gone."""

    def __init__(self, lock: int, remove: Path | None) -> None:
        # Our end is close-on-exec and every Popen closes what it does not hand down, so no
        # program that outlives us can keep the watchdog waiting.
        plans, self._pipe = os.pipe()
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT],
            stdin=plans,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.defpath, "FOLDER": str(remove or "")},
            pass_fds=[lock],
            start_new_session=True,
        )
        os.close(plans)

    def follow(self, plan: Sequence[str]) -> None:
        """Replace the plan; words in threes, in the order of stopping."""
        os.write(self._pipe, f"{' '.join(plan)}\n".encode())

    def end(self) -> None:
        """Leave it nothing to stop, and wait until it has removed the folder it was given."""
        with suppress(BrokenPipeError):  # somebody has killed it
            self.follow([])
        os.close(self._pipe)
        self._shell.wait()


def lock(path: Path) -> int:
    """Return the descriptor of the locked file; raise `CannotStart` while another launcher lives.

    The watchdog inherits the lock, so a folder whose launcher was killed is free as soon as its
    programs have stopped: that is waited for.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + PATIENCE
    while not _locked(descriptor):
        if time.monotonic() > deadline or _is_alive(path.read_text()):
            os.close(descriptor)
            raise CannotStart(f"Already running in this checkout (it holds {path}); stop it first.")
        time.sleep(0.05)
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    if not pid.isdigit():  # whoever locked it has not written yet
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
