"""Becomes an engine that the kernel kills when its agent ends, however that happens.

The agent starts this file by its path, as `launcher.py AGENT_PID COMMAND…`. Nothing but a process
itself can ask the kernel for this on Linux, and other systems do not offer it. A function between
fork and exec could ask too, but not safely in a program that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
CONFIG = 78
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python ignores when it starts. The engine would inherit that."""


def main(arguments: Sequence[str]) -> int:
    """Become the command, or say why that is impossible and return the exit status."""
    agent_pid, *command = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(agent_pid):
        # It has ended meanwhile.
        return CONFIG
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command line is the user's own
    except OSError as error:
        sentence = f"{command[0]} can't be started: {error.strerror}."
        sys.stderr.write(f"pipelabs-agent: {sentence}\n")
    return CONFIG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
