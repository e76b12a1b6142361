"""A program: how it is started, signalled and stopped."""

import fcntl
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GATE = 'read -r _ <&{0} && exec "$@" {0}<&-'
"""Becomes the program once it is told to."""
GRACE = 10.0
"""Seconds between asking a program to stop and killing it."""


@dataclass(frozen=True)
class Program:
    """What to start and how to stop it.

    It gets a session of its own, so that the terminal's Ctrl-C reaches the launcher alone;
    `in_foreground` keeps it in ours. `given` is its whole input, None our own input.
    """

    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    given: str | None = ""
    output: int | None = None
    account: pwd.struct_passwd | None = None
    stop_with: signal.Signals = signal.SIGTERM
    stop_group: bool = False
    in_foreground: bool = False


@dataclass(frozen=True)
class Running:
    """A started program."""

    program: Program
    process: subprocess.Popen[bytes]

    @property
    def group(self) -> int:
        """Whom to kill: all its descendants, unless it shares our process group."""
        return self.process.pid if self.program.in_foreground else -self.process.pid

    @property
    def target(self) -> int:
        """Whom to ask: most programs pass the word on to their children themselves."""
        return self.group if self.program.stop_group else self.process.pid

    def send(self, signum: int) -> None:
        """Send it a signal unless it has ended."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.target, signum)

    def stop(self) -> None:
        """Ask it to end, wait, and kill it if that did not help."""
        self.send(self.program.stop_with)
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            os.kill(self.group, signal.SIGKILL)
            self.process.wait()


def in_foreground() -> bool:
    """Whether we are what a terminal's Ctrl-C and input are meant for."""
    with suppress(OSError), Path("/dev/tty").open() as terminal:
        return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False


def popen(program: Program) -> tuple[subprocess.Popen[bytes], int]:
    """Start a program that waits for a line on the returned descriptor, and ends if it closes."""
    account = program.account
    gate, key = os.pipe()
    low = fcntl.fcntl(gate, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(gate)
    process = subprocess.Popen(
        # shells know descriptors of one digit
        ["/bin/sh", "-c", GATE.format(low), "sh", *program.argv] if low < 10 else program.argv,
        stdin=None if program.given is None else subprocess.PIPE,
        stdout=program.output,
        stderr=None if program.output is None else subprocess.STDOUT,
        cwd=program.cwd,
        env=program.env,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        start_new_session=not program.in_foreground,
        pass_fds=[low],
    )
    os.close(low)
    if process.stdin and program.given is not None:
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(program.given.encode())
    return process, key
