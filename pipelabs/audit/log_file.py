"""Write audit lines to the audit file and the console."""

import errno
import fcntl
import gzip
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from io import FileIO
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO, cast

from pipelabs.audit.line_format import format_line

logger = logging.getLogger("pipelabs.audit")
FILE_EVENT_PREFIX = "client.create"
"""Events with this prefix are attempts to create a client. They also go to the file."""
ID = re.compile(r" \| event=\S+ http=\S+ ip=\S+ ms=\S+ id=([0-9]+)")


class AuditFileHandler(WatchedFileHandler):
    """Appends to a file that logrotate may move, and remembers whether the last write failed."""

    def __init__(self, path: str) -> None:
        """Open the file lazily, so that an unwritable file does not prevent start-up."""
        super().__init__(path, encoding="utf-8", delay=True)
        self.is_failing = self._was_failing = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass only attempts to create a client."""
        return str(getattr(record, "event", "")).startswith(FILE_EVENT_PREFIX)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. A failure degrades `/ready` and does not fail the request."""
        self._was_failing = self.is_failing
        try:
            self.append([self.format(record)])
        except OSError:
            self.handleError(record)

    def append(self, lines: Iterable[str]) -> None:
        """Append all lines or none. Raise `OSError` if the disk is full.

        Without lines it only checks whether the file can be opened, and clears an earlier failure.
        """
        text = "".join(f"{line}\n" for line in lines).encode()
        with self._lock_file() as file:
            size = os.fstat(file).st_size
            if os.write(file, text) < len(text):
                os.ftruncate(file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.is_failing = False

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

    def read_ids(self, since: datetime | None) -> set[int] | None:
        """Return the ids of the lines in the file and in its rotated files.

        Files last written before `since` are skipped. Return None if there is no file at all.
        """
        path = Path(self.baseFilename)
        files = [
            file for file in path.parent.glob(f"{path.name}*") if not file.name.endswith(".new")
        ]
        oldest = since.timestamp() if since else 0
        recent = [file for file in files if file.stat().st_mtime >= oldest]
        return {row_id for file in recent for row_id in _read_ids(file)} if files else None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Remember the failure, and log it once in the application log."""
        self.is_failing = True
        if not self._was_failing:
            logging.getLogger("pipelabs").error("audit file not written: %s", sys.exc_info()[1])

    def is_writable(self) -> bool:
        """Return whether a line could be written now."""
        path = Path(self.baseFilename)
        target = path if path.exists() else path.parent
        is_right_kind = path.is_file() or not path.exists()
        has_room = path.parent.exists() and os.statvfs(path.parent).f_bavail > 0
        return not self.is_failing and is_right_kind and has_room and os.access(target, os.W_OK)

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        """Lock the current file against other threads and processes."""
        with self.lock or nullcontext():
            file = self._open_current()
            fcntl.flock(file, fcntl.LOCK_EX)
            while not self._is_in_place(file):
                # The file was replaced during the wait. Reopening closes the old one.
                file = self._open_current()
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield file
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def _open_current(self) -> int:
        """Return the descriptor of the file that is at the path now. Create it if missing."""
        self.reopenIfNeeded()
        if self.stream is None:
            self.stream = self._open()  # type: ignore[assignment]  # unbuffered bytes
            self._statstream()
        return cast(FileIO, self.stream).fileno()

    def _is_in_place(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), Path(self.baseFilename).stat())
        except FileNotFoundError:
            return False

    def _open(self) -> FileIO:  # type: ignore[override]  # unbuffered: a line is one write
        return open(self.baseFilename, "ab", buffering=0, opener=_private)


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes every audit line to the current standard error, not to the one at start-up."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line verbatim."""
        self.stream = sys.stderr
        super().emit(record)


def write(row: dict[str, Any]) -> None:
    """Write a committed row's line to the console, and to the file if it is a file event."""
    logger.info("%s", format_line(row), extra={"event": row["event"]})


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
    """Create the file with its final mode. `Path.open` has no opener."""
    return os.open(path, flags, 0o640)


def _read_ids(file: Path) -> Iterator[int]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        for line in lines:
            if match := ID.search(line):
                yield int(match[1])
