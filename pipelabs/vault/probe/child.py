"""Run `ask.py` as a child process that is killed at a deadline."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from pipelabs.core.errors import Unavailable

SCRIPT = Path(__file__).with_name("ask.py")
MAX_CHILDREN = 4
"""Per worker. Each child takes 70 MB, and 0.3 s of CPU time to import ccxt."""
MAX_WAIT_S = 1.0
"""How long a call waits for a free slot."""
BUSY = "Too many exchange keys are being checked right now. Try again."

_slots = threading.BoundedSemaphore(MAX_CHILDREN)


def run(
    question: Mapping[str, object], deadline_s: float, script: Path = SCRIPT
) -> Mapping[str, object]:
    """Return the output of the child process; empty if it died or printed anything else.

    Raise `TimeoutError` at the deadline, and `Unavailable` if no slot becomes free soon: a waiting
    call occupies a thread of the service.
    """
    end = time.monotonic() + deadline_s
    if not _slots.acquire(timeout=min(MAX_WAIT_S, deadline_s)):
        raise Unavailable(BUSY, code="too_many_examinations")
    try:
        answer = json.loads(_communicate(script, json.dumps(question).encode(), end))
    except TimeoutError:
        raise
    except (ValueError, OSError):  # invalid output, or the process could not start
        return {}
    finally:
        _slots.release()
    return answer if isinstance(answer, dict) else {}


def _communicate(script: Path, data: bytes, end: float) -> bytes:
    with subprocess.Popen(  # noqa: S603 - the script is ours; the request goes to stdin
        [sys.executable, "-I", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # None of our variables: no keys and no proxies.
        env={"PATH": os.defpath},
    ) as process:
        try:
            output, _ = process.communicate(data, timeout=max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            raise TimeoutError from None
    return output
