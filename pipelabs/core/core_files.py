"""Core files of a crashed process would contain its secrets, so none is written."""

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4
"""From linux/prctl.h. A process that is not dumpable is not read by others of its user either."""


def forbid() -> None:
    """Let the operating system write no core file of this process and of its children.

    A program that collects core files is not bound by the limit, so Linux is also told not to dump
    the process.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
