"""Run `ask.py` as a process that ends at a deadline, whatever an exchange or its DNS does."""

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
AT_ONCE = 4
"""Children of one worker: each takes 70 MB and, for its import, 0.3 s of a processor."""
PLACE_S = 1.0
"""So long somebody waits for a place."""
BUSY = "Exchanges are asked about other keys at this moment; try again."

_places = threading.BoundedSemaphore(AT_ONCE)


def run(
    question: Mapping[str, object], deadline_s: float, script: Path = SCRIPT
) -> Mapping[str, object]:
    """Return what the child answers; nothing if it died or printed something else.

    Raise `TimeoutError` at the deadline, and `Unavailable` if no place becomes free soon: whoever
    waits holds a thread of the service.
    """
    end = time.monotonic() + deadline_s
    if not _places.acquire(timeout=min(PLACE_S, deadline_s)):
        raise Unavailable(BUSY, code="too_many_examinations")
    try:
        answer = json.loads(_communicate(script, json.dumps(question).encode(), end))
    except TimeoutError:
        raise
    except (ValueError, OSError):  # printed nonsense, or no room for one more process
        return {}
    finally:
        _places.release()
    return answer if isinstance(answer, dict) else {}


def _communicate(script: Path, given: bytes, end: float) -> bytes:
    with subprocess.Popen(  # noqa: S603  our own script, and no text of anybody's beside it
        [sys.executable, "-I", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # No variable of ours: no keys, no proxies. Only what a system may need to find its files.
        env={"PATH": os.defpath},
    ) as process:
        try:
            printed, _ = process.communicate(given, timeout=max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            raise TimeoutError from None
    return printed
