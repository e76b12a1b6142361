"""Wait for a condition instead of a fixed time, which slow machines could exceed."""

import time

TIMEOUT_S = 120
"""Ends a test that hangs; even slow machines never need as long."""


def wait_for(condition, timeout_s=TIMEOUT_S):
    """Wait until the condition is true. An `OSError` counts as false."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError
