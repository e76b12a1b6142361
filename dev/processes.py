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
from functools import partial
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
# busybox has a setpriv that cannot do this
SETPRIV = Path(shutil.which("setpriv") or "busybox")
DIES_WITH_PARENT = sys.platform == "linux" and SETPRIV.resolve().name != "busybox"
EXEC_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'
"""The parent may have been killed before its child asked for a signal at the parent's death."""

# At exit it would kill every process whose mark contains our process number as a substring, so
# servers of other programs too.
atexit.unregister(cleanup_subprocesses)


class Server(mirakuru.TCPExecutor):
    """A server on a loopback port. Its start ends when `is_ready` returns true.

    `stdout` is the descriptor of its log, None for our own output.
    """

    def __init__(
        self,
        argv: Sequence[str],
        port: int,
        is_ready: Callable[[], bool],
        environment: Mapping[str, str],
        **options: Any,
    ) -> None:
        log = options.get("stdout")
        options = {"cwd": str(ROOT), "timeout": TIMEOUT_S, "sleep": 0.02} | options
        options |= {"stdin": subprocess.DEVNULL, "stderr": log and subprocess.STDOUT}
        super().__init__(die_with_parent(argv), HOST, port, **options)
        self._environment = dict(environment)
        self._is_ready = is_ready

    @property
    def envvars(self) -> dict[str, str]:
        """The server's whole environment; mirakuru would add it to ours."""
        return self._environment

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

    def start(self, server: Server) -> None:
        """Start a server; raise mirakuru's `ExecutorError` if it fails."""
        self.stack.callback(server.stop)
        server.start()

    def start_on_free_port(
        self, name: str, folder: Path, create: Callable[[int, int], Server]
    ) -> int:
        """Start a server on a free port and return the port.

        `create` gets the port and a descriptor of the log. Raise `CannotStart` with the end of the
        log if the server fails for another reason than a port taken in the meantime.
        """
        log = folder / f"{name}.log"
        for _ in range(5):
            port = free_port()
            with log.open("wb") as file, suppress(mirakuru.ExecutorError):
                self.start(create(port, file.fileno()))
                return port
            if is_free(port):
                break
        end = log.read_text(errors="replace")[-2000:]
        raise CannotStart(f"{name} did not start. The end of its log:\n{end}")

    def start_program(
        self, argv: Sequence[str], environment: Mapping[str, str]
    ) -> mirakuru.SimpleExecutor:
        """Start a program that listens on no port, with our own output."""
        program = mirakuru.SimpleExecutor(
            die_with_parent(argv), envvars=dict(environment), stdout=None, cwd=str(ROOT)
        )
        self.stack.enter_context(suppress(ProcessFinishedWithError))
        self.stack.callback(program.stop)
        program.start()
        return program

    def wait(self, *programs: mirakuru.SimpleExecutor) -> mirakuru.SimpleExecutor:
        """Return the first program that ends; raise `Stopped` if our own parent ends first."""
        while True:
            for program in programs:
                if not program.running():
                    return program
            if os.getppid() != self.parent:
                raise Stopped(128 + signal.SIGTERM)
            time.sleep(0.05)

    def run_in_front(self, argv: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command that gets our input and our signals, and return its exit status."""
        command = mirakuru.SimpleExecutor(
            die_with_parent(argv), envvars=dict(environment), stdin=None, stdout=None, timeout=10
        )
        self.stack.enter_context(suppress(ProcessFinishedWithError))
        self.stack.callback(command.stop)
        # Handled before the start, so that a signal during it reaches the command afterwards.
        early: list[int] = []
        for signum in STOP_SIGNALS:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, partial(_forward, command, early))
        command.start()
        for number in early:
            _forward(command, [], number, None)
        return status_of(self.wait(command))


def status_of(program: mirakuru.SimpleExecutor) -> int:
    """Return the exit status of a program that has ended."""
    return program.process.returncode if program.process else 0


@contextmanager
def supervisor() -> Iterator[Supervisor]:
    """Raise `Stopped` in the block on INT, TERM and HUP; at its end stop what it started."""
    # HUP stays ignored under nohup; INT is handled even where a shell ignores it for `command &`
    is_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    handled = STOP_SIGNALS[:2] if is_nohup else STOP_SIGNALS

    def stop_once(signum: int, _: FrameType | None) -> None:
        _handle(handled, signal.SIG_IGN)
        raise Stopped(128 + signum)

    _handle(handled, stop_once)
    with ExitStack() as stack:
        try:
            yield Supervisor(stack, os.getppid())
        finally:
            _handle(handled, signal.SIG_IGN)
    _handle(handled, signal.SIG_DFL)


def die_with_parent(argv: Sequence[str]) -> list[str]:
    """Return a command that gets SIGINT when this process ends, where the system can do that."""
    if not DIES_WITH_PARENT:
        return list(argv)
    shell = ["/bin/sh", "-c", EXEC_UNLESS_ORPHANED, str(os.getpid())]
    return [str(SETPRIV), "--pdeathsig", "INT", "--", *shell, *argv]


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    text: str = "",
    *,
    cwd: Path = ROOT,
    account: pwd.struct_passwd | None = None,
) -> str:
    """Run a command with `text` as its input, and return its output.

    Raise `CannotStart` with the end of the output if the command fails.
    """
    ended = subprocess.run(
        die_with_parent(argv),
        cwd=cwd,
        env=environment,
        input=text,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **as_user(account),
    )
    if ended.returncode:
        raise CannotStart(ended.stdout[-4000:].strip())
    return str(ended.stdout)


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
        return int(probe.getsockname()[1])


def _handle(signals: Sequence[signal.Signals], handler: Any) -> None:
    for signum in signals:
        signal.signal(signum, handler)


def _forward(
    command: mirakuru.SimpleExecutor, early: list[int], signum: int, _: FrameType | None
) -> None:
    """Send a signal to a command's process group, or note it if the command has not started."""
    if not command.process:
        early.append(signum)
        return
    with suppress(ProcessLookupError):
        os.killpg(command.process.pid, signum)
