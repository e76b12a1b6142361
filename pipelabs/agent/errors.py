"""What the agent raises. No error carries a credential."""

from __future__ import annotations


class AgentError(Exception):
    """Something that keeps an engine from its keys. The text is a sentence for people."""

    exit_code = 75
    """Of `pipelabs-agent`: what passes, so a supervisor may start it again (EX_TEMPFAIL)."""


class Unreachable(AgentError):
    """The service can't be reached, or its answer is not one that the protocol knows."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Denied(AgentError):
    """The service denies the machine itself: no key may be used."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class NotLeased(AgentError):
    """This machine does not hold the key. `code` says why, as the protocol names it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class Stopped(NotLeased):
    """The key was held, or could be, and may not be used any more."""


class SetupError(AgentError):
    """An identity, an address or a command line that a person has to correct."""

    exit_code = 78
    """EX_CONFIG: starting again does not help."""


class InUse(SetupError):
    """Another process of this host uses the identity."""

    exit_code = 75
