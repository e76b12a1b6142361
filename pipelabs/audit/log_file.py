"""Write audit lines to the audit file and the console."""

import errno
import fcntl
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from io import FileIO
from itertools import groupby
from logging.handlers import WatchedFileHandler
from operator import itemgetter
from pathlib import Path
from queue import SimpleQueue
from select import PIPE_BUF
from stat import S_ISREG
from typing import Any, Generic, TextIO, TypeVar, cast

from pipelabs.audit import log_reader
from pipelabs.audit.line_format import format_line
from pipelabs.audit.log_reader import Look, Position

logger = logging.getLogger("pipelabs.audit")
DEADLINE_S = 3.0
"""Shorter than what reconciling allows a worker for its lines."""
READ_DEADLINE_S = 60.0
HANGING = "The disk of the audit file does not answer"
NOT_REGULAR = "The audit file is not a regular file"
FILE_EVENT_PREFIX = "client.create"
"""Events with this prefix are attempts to create a client. They also go to the file."""
Result = TypeVar("Result")
IsAbandoned = Callable[[], bool]


class Call(Generic[Result]):
    """A call that another thread runs. The caller may stop waiting for it."""

    def __init__(self, function: Callable[[IsAbandoned], Result]) -> None:
        self.function = function
        self.is_abandoned = self.is_done = False
        self.result: Result | None = None
        self.error: BaseException | None = None
        # A bare lock: an event costs several times as much, and every create waits for one.
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        """Run it, unless its caller has stopped waiting."""
        try:
            if not self.is_abandoned:
                self.result = self.function(lambda: self.is_abandoned)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self.error = error
        self.is_done = True
        self.done.release()


class DeadlineThread:
    """Runs calls that may hang in a thread of its own, as nothing can interrupt a hanging disk."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call[Any]] = SimpleQueue()
        self._process = 0
        self._hanging: Call[Any] | None = None

    def run(self, function: Callable[[IsAbandoned], Result], deadline_s: float) -> Result:
        """Return the result. Raise `TimeoutError` after the deadline, or while a call hangs.

        The function is called with what tells it that the deadline is over.
        """
        self._ensure_thread()
        if self._hanging and not self._hanging.is_done:
            raise TimeoutError(errno.ETIMEDOUT, HANGING)
        call = Call(function)
        self._calls.put(call)
        if not call.done.acquire(timeout=deadline_s):
            call.is_abandoned, self._hanging = True, call
            raise TimeoutError(errno.ETIMEDOUT, HANGING)
        if call.error:
            raise call.error
        return cast(Result, call.result)

    def _ensure_thread(self) -> None:
        """Start the thread at the first call of a process: a forked process has none."""
        if self._process != os.getpid():
            self._process, self._hanging, self._calls = os.getpid(), None, SimpleQueue()
            threading.Thread(target=self._work, args=(self._calls,), daemon=True).start()

    @staticmethod
    def _work(calls: SimpleQueue[Call[Any]]) -> None:
        while True:
            calls.get().run()


class AuditFileHandler(WatchedFileHandler):
    """Appends to a file that logrotate may move, and remembers whether the last write failed."""

    def __init__(self, path: str) -> None:
        """Open the file lazily, so that an unwritable file does not prevent start-up."""
        super().__init__(path, encoding="utf-8", delay=True)
        self.is_failing = self._was_failing = False
        self._writer, self._reader = DeadlineThread(), DeadlineThread()

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass only attempts to create a client."""
        return str(getattr(record, "event", "")).startswith(FILE_EVENT_PREFIX)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the lines. A failure degrades `/ready` and does not fail the request."""
        self._was_failing = self.is_failing
        try:
            self.append([self.format(record)])
        except OSError:
            self.handleError(record)

    def append(self, lines: Iterable[str]) -> None:
        """Append all lines or none. Raise `OSError` if the disk is full or does not answer.

        Without lines it only checks whether the file can be opened, and clears an earlier failure.
        """
        text = "".join(f"{line}\n" for line in lines).encode()
        self._writer.run(lambda is_abandoned: self._append(text, is_abandoned), DEADLINE_S)
        self.is_failing = False

    def _append(self, text: bytes, is_abandoned: IsAbandoned) -> None:
        with self._lock_file() as file:
            if is_abandoned():
                # Reconciling appends the line instead.
                return
            written = os.write(file, text)
            if written < len(text):
                os.ftruncate(file, os.lseek(file, 0, os.SEEK_CUR) - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def replace(self, lines: Iterable[str]) -> None:
        """Replace the file by these lines atomically. Other writers continue in the new file."""
        new_file = Path(f"{self.baseFilename}.new")
        with self._lock_file():
            try:
                # Buffered, because a short write of an unbuffered file would go unnoticed.
                with open(new_file, "wb", opener=_private) as file:
                    file.writelines(f"{line}\n".encode() for line in lines)
            except OSError:
                new_file.unlink(missing_ok=True)
                raise
            new_file.replace(self.baseFilename)

    def look(self, position: Position | None) -> Look:
        """Return which lines the file and its rotated files have from the position on."""
        return self._reader.run(
            lambda _: log_reader.look(self.baseFilename, position), READ_DEADLINE_S
        )

    def next_position(self, seen: Look, waiting: Set[int]) -> Position | None:
        """Return where the next look has to begin so that it sees every line of `waiting`."""
        return self._reader.run(lambda _: seen.next_position(waiting), READ_DEADLINE_S)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Remember the failure, and log it once in the application log."""
        self.is_failing = True
        if not self._was_failing:
            logging.getLogger("pipelabs").error("audit file not written: %s", sys.exc_info()[1])

    def is_writable(self) -> bool:
        """Return whether a line could be written now."""
        if self.is_failing:
            return False
        try:
            return self._writer.run(lambda _: self._is_writable(), DEADLINE_S)
        except OSError:
            return False

    def has_current_file(self) -> bool:
        """Return whether the file that is open, if one is, is still the one at the path."""
        return self.stream is None or self._is_in_place()

    def _is_writable(self) -> bool:
        path = Path(self.baseFilename)
        target = path if path.exists() else path.parent
        is_right_kind = path.is_file() or not path.exists()
        has_room = path.parent.exists() and os.statvfs(path.parent).f_bavail > 0
        return is_right_kind and has_room and os.access(target, os.W_OK)

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        """Lock the current file against other processes. One thread of this one writes to it."""
        file = self._open_current()
        fcntl.flock(file, fcntl.LOCK_EX)
        while not self._is_in_place():
            # The file was replaced before or during the wait. Reopening closes the old one.
            self.reopenIfNeeded()
            file = self._open_current()
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield file
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _open_current(self) -> int:
        """Return the descriptor of the file that is open. Open or create the one at the path."""
        if self.stream is None:
            self.stream = self._open()  # type: ignore[assignment]  # unbuffered bytes
            self._statstream()
        return cast(FileIO, self.stream).fileno()

    def _is_in_place(self) -> bool:
        """Return whether the file that is open is still the one at the path."""
        try:
            found = Path(self.baseFilename).stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == (self.dev, self.ino)

    def _open(self) -> FileIO:  # type: ignore[override]  # unbuffered: a line is one write
        return open(self.baseFilename, "ab", buffering=0, opener=_private)


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes every audit line to the current standard error, not to the one at start-up."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the lines verbatim, as many at once as a pipe takes without interruption.

        A longer write can be interrupted by another worker's, even within a line.
        """
        self.stream = sys.stderr
        try:
            for part in _parts(self.format(record).split("\n")):
                self.stream.write(part)
                self.flush()
        except Exception:  # noqa: BLE001 - as the handlers of the standard library do
            self.handleError(record)


def write(*rows: dict[str, Any]) -> None:
    """Write the lines of a commit's rows to the console, and those of file events to the file.

    Successive rows of one event are one record, so that the file gets them in one write.
    """
    for event, group in groupby(rows, itemgetter("event")):
        logger.info("%s", "\n".join(map(format_line, group)), extra={"event": event})


def _parts(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines in parts of at most `PIPE_BUF` bytes. A longer line is a part of its own."""
    part, size = "", 0
    for line in lines:
        length = len(line.encode()) + 1
        if part and size + length > PIPE_BUF:
            yield part
            part, size = "", 0
        part, size = f"{part}{line}\n", size + length
    yield part


def get_file_handler() -> AuditFileHandler:
    """Return this process's handler of the audit file."""
    return next(handler for handler in logger.handlers if isinstance(handler, AuditFileHandler))


def configure(path: str) -> None:
    """Make the audit logger write to the console and to the file."""
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.addHandler(ConsoleHandler())
    logger.addHandler(AuditFileHandler(path))


def _private(path: str, flags: int) -> int:
    """Create the file with its final mode. `Path.open` has no opener.

    Only a regular file is opened: a FIFO would wait for a reader, or feed one.
    """
    file = os.open(path, flags | os.O_NONBLOCK, 0o640)
    if not S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, NOT_REGULAR)
    return file
