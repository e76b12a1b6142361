"""How a command of this package ends early. Both are exits, so no traceback is shown."""

import signal


class CannotStart(SystemExit):
    """A sentence for the terminal, and exit status 1."""


class Stopped(SystemExit):
    """A signal, or the end of the parent process, stopped the command."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal = signal.Signals(signum)
