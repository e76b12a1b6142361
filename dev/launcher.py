"""Start programs that end with this process, however it ends."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from dev.errors import Stopped
from dev.processes import Program, Running, popen
from dev.watchdog import Watchdog, lock

STOPPERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Launcher:
    """A context in which programs run; it raises `Stopped` there on INT, TERM, HUP or an orphaning.

    Leaving it stops them, last first. A killed launcher's watchdog does the same. One launcher a
    `folder` at a time, else `CannotStart`; `remove` deletes the folder at the end.
    """

    def __init__(self, folder: Path, *, remove: bool = False) -> None:
        self._folder = folder
        self._remove = remove
        self._started: list[Running] = []
        self._heir: Running | None = None
        self._asked: int | None = None
        self._busy = False
        self._orphaned = False
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._lock = lock(self._folder / "lock")
        self._watchdog = Watchdog(self._lock, self._folder if self._remove else None)
        # nohup's wish is respected; INT is taken even where a shell ignores it for `… &`
        taken = [s for s in STOPPERS if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN]
        self._handlers = {signum: signal.signal(signum, self._on_signal) for signum in taken}
        self._parent = os.getppid()
        self._watcher = threading.Thread(target=self._watch_parent, daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._busy = True  # for good: nothing may interrupt the stopping
        self._heir = None
        self._over.set()
        for running in reversed(self._started):
            running.stop()
        self._watchdog.end()
        self._watcher.join()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        os.close(self._lock)

    def start(self, program: Program, *, as_heir: bool = False) -> Running:
        """Start a program, but not before the watchdog knows of it; an heir gets our signals."""
        with self._undisturbed():
            process, key = popen(program)
            running = Running(program, process)
            self._started.append(running)
            self._tell_watchdog()
            if as_heir:  # before it runs, for it may speak at once and be answered by a signal
                self._heir = running
            with suppress(BrokenPipeError):  # somebody has killed it
                os.write(key, b"\n")
            os.close(key)
        return running

    def wait(self, running: Running) -> int:
        """Return the exit status of a program that ends by itself."""
        status = running.process.wait()
        with self._undisturbed():
            self._tell_watchdog()
        return status

    def run(self, program: Program) -> tuple[int, str]:
        """Run a program to its end, and return its exit status and what it said."""
        with tempfile.TemporaryFile("w+") as said:
            status = self.wait(self.start(replace(program, output=said.fileno())))
            said.seek(0)
            return status, said.read()

    def stop(self, running: Running) -> None:
        """Stop a program before its time."""
        with self._undisturbed():
            running.stop()
            self._tell_watchdog()

    def hand_over(self, program: Program) -> int:
        """Run a program that gets our signals in our place, and return its exit status."""
        status = self.wait(self.start(program, as_heir=True))
        self._heir = None
        return status

    def _tell_watchdog(self) -> None:
        self._started = [running for running in self._started if running.process.poll() is None]
        self._watchdog.follow(
            [
                str(word)
                for running in reversed(self._started)
                for word in (running.program.stop_with.name[3:], running.target, running.group)
            ]
        )

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Put a signal off until the list of programs is right again."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        if self._asked:
            raise Stopped(self._asked)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._heir and not self._orphaned:
            # a terminal sends Ctrl-C to its whole foreground by itself
            if signum != signal.SIGINT or not self._heir.program.in_foreground:
                self._heir.send(signum)
        elif self._asked is None:
            self._asked = signum
            if not self._busy:
                raise Stopped(signum)

    def _watch_parent(self) -> None:
        # signals must reach the main thread, which is the one that waits
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPERS)
        while not self._over.wait(0.5):
            if os.getppid() != self._parent:
                self._orphaned = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                return
