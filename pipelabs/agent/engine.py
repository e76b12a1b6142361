"""A trading engine as a child process that has its keys in its environment only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from .agent import Agent
from .environment import build_environment
from .errors import AgentError, SetupError
from .keys import Key

FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
IS_LINUX = sys.platform == "linux"
LAUNCHER = Path(__file__).with_name("launcher.py")
STOPPED = AgentError.exit_code
"""The exit status when keys were stopped."""


@dataclass(frozen=True)
class Plan:
    """What to run, how it reads its keys, and what to run when they change."""

    command: Sequence[str]
    style: str
    on_stop: Sequence[str] = ()
    on_rotate: Sequence[str] = ()
    grace_s: float = 10.0


class Engine:
    """Runs an engine for as long as its keys are held.

    The child is the leader of a session of its own, so that a terminal sends it no signal besides
    the forwarded one, and what it started can be ended with it. On Linux it ends with the agent,
    also if the agent is killed.
    """

    def __init__(self, agent: Agent, keys: Sequence[Key], plan: Plan) -> None:
        self._agent = agent
        self._keys = list(keys)
        self._plan = plan
        self._started: list[subprocess.Popen[bytes]] = []
        self._running: list[subprocess.Popen[bytes]] = []
        """The last one, until it was ended."""
        self._turn = threading.Lock()
        self._signal: int | None = None
        self._is_stopped = False

    def run(self) -> int:
        """Start the engine and return its exit status, or `STOPPED` if its keys were stopped.

        Raise `SetupError` if it can't be started, and `NotLeased` if a key is not held.
        """
        self._agent.on_stop(self.stop)
        self._agent.on_rotate(self.rotate)
        with self._forwarding():
            self._start()
            self._agent.start()
            try:
                status = self._wait()
            finally:
                with self._turn:
                    self._end()
        return STOPPED if self._is_stopped else status

    def stop(self, key: Key, reason: str) -> None:
        """End the engine because it may not use a key any more. Return when it has ended."""
        with self._turn:
            if self._is_running():
                tell(f"Stopping the engine. {key.name}: {reason}")
                self._is_stopped = True
                self._run_hook(self._plan.on_stop, self._describe(key, reason))
            self._end()

    def rotate(self, key: Key) -> None:
        """Let the engine use the new credentials of a key: by the hook, or else by a restart."""
        with self._turn:
            if not self._is_running():
                return
            tell(f"{key.name} has new credentials.")
            try:
                self._move(key)
            except AgentError as error:
                # Another key has ended meanwhile.
                tell(f"Stopping the engine. {error}")
                self._is_stopped = True
                self._end()

    def _move(self, key: Key) -> None:
        details = {**self._describe(key, "rotated"), **self._build_variables()}
        if self._run_hook(self._plan.on_rotate, details):
            return
        self._end()
        if self._signal is None:
            self._start()

    def _start(self) -> None:
        try:
            process = self._spawn()
        except OSError as error:
            message = f"{self._plan.command[0]} can't be started: {error.strerror}."
            raise SetupError(message) from None
        self._started.append(process)
        self._running = [process]
        if self._signal is not None:
            process.send_signal(self._signal)

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start the process; raise `OSError`, or `NotLeased` if a key is not held."""
        environment = {**os.environ, **self._build_variables()}
        return subprocess.Popen(  # noqa: S603 - the command line is the user's own
            tie_to_agent(self._plan.command), env=environment, start_new_session=True
        )

    def _build_variables(self) -> dict[str, str]:
        held = [(key, self._agent.read_credentials(key)) for key in self._keys]
        return build_environment(self._plan.style, held)

    def _wait(self) -> int:
        """Return the exit status of the last process: a restart replaces it."""
        while True:
            process = self._started[-1]
            status = process.wait()
            with self._turn:
                if process is self._started[-1]:
                    return status if status >= 0 else 128 - status

    def _is_running(self) -> bool:
        return any(process.poll() is None for process in self._running)

    def _end(self) -> None:
        """End the process and what it has started, so that none keeps the credentials."""
        for process in self._running:
            end_process(process, self._plan.grace_s)
        self._running = []

    def _run_hook(self, command: Sequence[str], details: Mapping[str, str]) -> bool:
        """Run a hook for at most the grace time; return whether it succeeded."""
        if not command:
            return False
        try:
            hook = subprocess.Popen(  # noqa: S603 - the command line is the user's own
                command, env={**os.environ, **details}, start_new_session=True
            )
        except OSError as error:
            tell(f"The hook can't be started: {error.strerror}.")
            return False
        try:
            status = hook.wait(self._plan.grace_s)
        except subprocess.TimeoutExpired:
            end_process(hook, 0)
            tell("The hook took too long and was ended.")
            return False
        if status:
            tell(f"The hook has failed with status {status}.")
        return status == 0

    def _describe(self, key: Key, reason: str) -> dict[str, str]:
        """Return the variables of a hook."""
        return {
            "PIPELABS_AGENT_KEY": key.name,
            "PIPELABS_AGENT_REASON": reason,
            "PIPELABS_AGENT_PID": str(self._started[-1].pid),
        }

    @contextlib.contextmanager
    def _forwarding(self) -> Iterator[None]:
        """Forward signals to the engine."""
        old = {number: signal.signal(number, self._forward) for number in FORWARDED}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        if number in {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}:
            self._signal = number
        for process in self._running:
            process.send_signal(number)


def tie_to_agent(command: Sequence[str]) -> list[str]:
    """Return a command whose process ends with the agent, also if the agent is killed."""
    # Without -I and -S Python would read the engine's own PYTHON… variables, and start slower.
    tie = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())] if IS_LINUX else []
    return [*tie, *command]


def end_process(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """End a process that leads a session: SIGTERM, and SIGKILL for it and its group."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    # PermissionError is what macOS raises for a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tell(sentence: str) -> None:
    """Tell the terminal, beside the engine's own output."""
    sys.stderr.write(f"pipelabs-agent: {sentence}\n")
    sys.stderr.flush()
