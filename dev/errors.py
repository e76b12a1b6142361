"""How a launcher ends before its time; both are exits, so an uncaught one shows no traceback."""

import signal


class CannotStart(SystemExit):
    """A sentence for the terminal, and exit status 1."""


class Stopped(SystemExit):
    """A signal or the parent's end asked this launcher to stop; its status is a shell's."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal = signal.Signals(signum)
