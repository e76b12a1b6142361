"""Graceful shutdown: fail readiness, keep serving, then stop."""

import mmap
import signal
from collections.abc import Callable

# Anonymous and shared: workers inherit it when they are forked and see what the master writes.
_flag = mmap.mmap(-1, 1)


def is_shutting_down() -> bool:
    """Return whether this instance has received SIGTERM."""
    return bool(_flag[0])


def start_shutdown() -> None:
    """Make `/ready` fail in every process of this instance."""
    _flag[0] = True


def install_sigterm_handler(stop: Callable[[], None], delay_s: float) -> None:
    """Make SIGTERM fail `/ready` at once, and call `stop` only after `delay_s` seconds.

    Load balancers need this time to notice. Requests they send meanwhile are served. A second
    SIGTERM stops at once. Call it in the main thread of the process that forks the workers.
    """

    def shut_down(*_: object) -> None:
        is_second = is_shutting_down()
        start_shutdown()
        if is_second or not delay_s:
            stop()
        else:
            # A timer, not a thread: this process may fork a replacement worker meanwhile. Forking
            # beside a thread is unsafe, and a forked process does not inherit timers.
            signal.setitimer(signal.ITIMER_REAL, delay_s)

    signal.signal(signal.SIGTERM, shut_down)
    signal.signal(signal.SIGALRM, lambda *_: stop())
