"""One process at a time per identity, and what that process last heard.

The service suspends a machine whose requests alternate between two processes, because a copied
identity looks like that. So a second process on the same host must not even ask.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import protocol
from .errors import InUse
from .identity import Identity

IS_LINUX = sys.platform == "linux"
IN_USE = (
    "Another pipelabs-agent process uses this identity. Two at a time would look like a copied "
    "identity. Enrol each engine as a machine of its own, or stop the other process."
)


class Lock:
    """Held from `acquire` until `release`, or until the process ends."""

    def __init__(self, identity: Identity) -> None:
        self._path = identity.path
        self._name = f"\0pipelabs-agent/{protocol.thumbprint(identity.signing_public)}"
        self._held = contextlib.ExitStack()

    def acquire(self) -> None:
        """Take the lock, or raise `InUse`."""
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(self._path.open("rb"))
            try:
                # The file for containers that share it, the name for copies of the file.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if IS_LINUX:
                    stack.enter_context(socket.socket(socket.AF_UNIX)).bind(self._name)
            except OSError:
                raise InUse(IN_USE) from None
            self._held = stack.pop_all()

    def release(self) -> None:
        """Give the lock back."""
        self._held.close()
        with contextlib.suppress(OSError):
            _report_path(self._path).unlink()

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Store what `status` shows meanwhile, beside the identity if that can be written."""
        path = _report_path(self._path)
        temporary = path.with_name(path.name + ".new")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps({**report, "at": time.time(), "pid": os.getpid()}))
            temporary.replace(path)


def read_report(path: Path) -> dict[str, Any] | None:
    """Return what the process that holds the lock last heard, or None if that is not known."""
    try:
        report: dict[str, Any] = json.loads(_report_path(path).read_text())
    except (OSError, ValueError):
        return None
    return report


def _report_path(path: Path) -> Path:
    return path.with_name(path.name + ".state")
