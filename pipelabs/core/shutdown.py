"""The last seconds of an instance: still serving, and no longer wanted."""

import mmap
import signal
from collections.abc import Callable

# Anonymous and shared: the workers are forked with it, so what the master writes they all read.
_flag = mmap.mmap(-1, 1)


def is_shutting_down() -> bool:
    """Return whether this instance was told to stop."""
    return bool(_flag[0])


def start_shutdown() -> None:
    """Let every process of this instance know."""
    _flag[0] = True


def install_sigterm_handler(stop: Callable[[], None], after_s: float) -> None:
    """Let SIGTERM turn `/ready` red, and call `stop` only after so many seconds.

    A balancer needs these to notice; what it sends meanwhile is served. A second SIGTERM stops at
    once. For the process that forks the workers, in its main thread.
    """

    def drain(*_: object) -> None:
        is_second = is_shutting_down()
        start_shutdown()
        if is_second or not after_s:
            stop()
        else:
            # No thread, for a worker that dies meanwhile is forked anew; no timer crosses a fork.
            signal.setitimer(signal.ITIMER_REAL, after_s)

    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGALRM, lambda *_: stop())
