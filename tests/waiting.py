"""Waiting for an event instead of for a time that a slow machine would need more of."""

import time

PATIENCE_S = 120
"""Ends a test that would hang; no test waits as long on a machine that is merely slow."""


def wait_for(condition, patience_s=PATIENCE_S):
    """Wait until a condition holds; a connection that cannot be made counts as not yet."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError
