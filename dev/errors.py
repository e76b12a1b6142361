"""How a command of this package ends early. Both are exits, so no traceback is shown."""


class CannotStart(SystemExit):
    """A sentence for the terminal, and exit status 1."""


class Stopped(SystemExit):
    """A signal, or the end of the parent process, stopped the command."""
