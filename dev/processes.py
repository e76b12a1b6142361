"""Run servers and commands that end with this process."""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any, Self

import mirakuru
from mirakuru.base import cleanup_subprocesses
from mirakuru.exceptions import ProcessFinishedWithError

from dev.errors import CannotStart, Stopped
from dev.places import ROOT

HOST = "127.0.0.1"
TIMEOUT_S = 30
"""For starting and for stopping. A PostgreSQL that was killed recovers before it is ready."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXEC_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'
"""The parent may have been killed before its child asked for a signal at the parent's death."""

# At exit it would kill every process whose mark contains our process number as a substring, so
# servers of other programs too.
atexit.unregister(cleanup_subprocesses)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run: its whole environment, and the descriptor of its log, None for our output."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path = ROOT
    log: int | None = None
    account: pwd.struct_passwd | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class Server(mirakuru.TCPExecutor):
    """A server on a loopback port. Its start ends when `is_ready` returns true."""

    def __init__(self, program: Program, port: int, is_ready: Callable[[], bool]) -> None:
        super().__init__(
            die_with_parent(program.argv),
            HOST,
            port,
            cwd=str(program.cwd),
            timeout=TIMEOUT_S,
            sleep=0.02,
            stop_signal=program.stop_signal,
            stdin=subprocess.DEVNULL,
            stdout=program.log,
            stderr=None if program.log is None else subprocess.STDOUT,
            popen_kwargs=as_user(program.account),
        )
        self._environment = dict(program.env)
        self._is_ready = is_ready

    @property
    def envvars(self) -> dict[str, str]:
        """The program's environment, without ours."""
        return self._environment

    @property
    def pid(self) -> int:
        """The process number of a started server."""
        return self.process.pid if self.process else 0

    def after_start_check(self) -> bool:
        """Return whether the server answers, not only whether it listens."""
        return self._is_ready()

    def stop(self, stop_signal: int | None = None, expected_returncode: int | None = None) -> Self:
        """Stop the server, whatever its exit status."""
        with suppress(ProcessFinishedWithError):
            super().stop(stop_signal, expected_returncode)
        return self


@dataclass(frozen=True)
class Supervisor:
    """Starts servers and commands; `stack` stops them in reverse order."""

    stack: ExitStack
    parent: int
    signals: Sequence[signal.Signals]

    def start(self, server: Server) -> None:
        """Start a server; raise mirakuru's `ExecutorError` if it fails."""
        self.stack.callback(server.stop)
        server.start()

    def start_on_free_port(
        self, name: str, folder: Path, create: Callable[[int, int], Server]
    ) -> int:
        """Start a server on a free port, on its previous port if possible, and return the port.

        `create` gets the port and a descriptor of the log. Raise `CannotStart` with the end of the
        log if the server fails for another reason than a port taken in the meantime.
        """
        saved, log = folder / f"{name}.port", folder / f"{name}.log"
        for _ in range(5):
            port = int(saved.read_text() or 0) if saved.exists() else 0
            if not port or not is_free(port):
                port = free_port()
            with log.open("wb") as file, suppress(mirakuru.ExecutorError):
                self.start(create(port, file.fileno()))
                saved.write_text(str(port))
                return port
            if is_free(port):
                break
        end = log.read_text(errors="replace")[-2000:]
        raise CannotStart(f"{name} did not start. The end of its log:\n{end}")

    def wait(self, executor: mirakuru.SimpleExecutor) -> int:
        """Return the exit status of a program; raise `Stopped` if our own parent ends first."""
        while executor.running():
            if os.getppid() != self.parent:
                raise Stopped(signal.SIGTERM)
            time.sleep(0.05)
        return executor.process.returncode if executor.process else 0

    def run_in_front(self, argv: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command that gets our input and our signals, and return its exit status."""
        command = mirakuru.SimpleExecutor(
            die_with_parent(argv), envvars=dict(environment), stdin=None, stdout=None, timeout=10
        )
        self.stack.callback(_stop, command)
        command.start()
        for signum in self.signals:
            signal.signal(signum, partial(_forward, command))
        return self.wait(command)


@contextmanager
def supervisor() -> Iterator[Supervisor]:
    """Raise `Stopped` in the block on INT, TERM and HUP; at its end stop what it started."""
    # HUP stays ignored under nohup; INT is handled even where a shell ignores it for `command &`
    handled = [
        signum
        for signum in STOP_SIGNALS
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN
    ]
    stack = ExitStack()

    def stop_once(signum: int, _: FrameType | None) -> None:
        _ignore(handled)
        raise Stopped(signum)

    previous = {signum: signal.signal(signum, stop_once) for signum in handled}
    try:
        yield Supervisor(stack, os.getppid(), handled)
    finally:
        _ignore(handled)
        stack.close()
        for signum, handler in previous.items():
            signal.signal(signum, handler)


@cache
def can_die_with_parent() -> bool:
    """Return whether programs can be stopped if this process is killed: with util-linux."""
    if sys.platform != "linux":
        return False
    setpriv = shutil.which("setpriv")  # busybox has one that cannot do this
    return (
        setpriv is not None
        and not subprocess.run(
            [setpriv, "--pdeathsig", "INT", "true"], stderr=subprocess.DEVNULL, check=False
        ).returncode
    )


def die_with_parent(argv: Sequence[str]) -> list[str]:
    """Return a command that gets SIGINT when this process ends, where the system can do that."""
    if not can_die_with_parent():
        return list(argv)
    shell = ["/bin/sh", "-c", EXEC_UNLESS_ORPHANED, str(os.getpid())]
    return ["setpriv", "--pdeathsig", "INT", "--", *shell, *argv]


def run(argv: Sequence[str], environment: Mapping[str, str], text: str = "") -> str:
    """Run a command of this checkout with `text` as its input, and return its output.

    Raise `CannotStart` with the end of the output if the command fails.
    """
    ended = subprocess.run(
        die_with_parent(argv),
        cwd=ROOT,
        env=environment,
        input=text,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if ended.returncode:
        raise CannotStart(ended.stdout[-4000:].strip())
    return ended.stdout


def as_user(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return the arguments with which `Popen` runs a program as `account`, if there is one."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port."""
    with socket.socket() as probe:
        # servers set this too, so closed connections that linger do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _ignore(signals: Sequence[signal.Signals]) -> None:
    for signum in signals:
        signal.signal(signum, signal.SIG_IGN)


def _forward(command: mirakuru.SimpleExecutor, signum: int, _: FrameType | None) -> None:
    if command.process:
        with suppress(ProcessLookupError):
            os.killpg(command.process.pid, signum)


def _stop(command: mirakuru.SimpleExecutor) -> None:
    with suppress(ProcessFinishedWithError):
        command.stop()
