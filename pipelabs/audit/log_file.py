"""The file and the console that audit lines are written to."""

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
FILED = "client.create"
"""Events that begin so are attempts to create a client, and go to the file too."""
ID = re.compile(r" \| event=\S+ http=\S+ ip=\S+ ms=\S+ id=([0-9]+)")


class AuditFileHandler(WatchedFileHandler):
    """Appends to the file that logrotate may move away; says whether the last line got there."""

    def __init__(self, path: str) -> None:
        """Open lazily, so that a file that cannot be written does not stop the start."""
        super().__init__(path, encoding="utf-8", delay=True)
        self.is_failing = self._was_failing = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Take attempts to create a client alone."""
        return str(getattr(record, "event", "")).startswith(FILED)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a failure is remembered, told by `/ready`, and refuses nothing."""
        self._was_failing = self.is_failing
        try:
            self.append([self.format(record)])
        except OSError:
            self.handleError(record)

    def append(self, lines: Iterable[str]) -> None:
        """Append whole lines, or none of them: raise `OSError` if the disk is full.

        No line at all finds out whether the file can be written again.
        """
        text = "".join(f"{one}\n" for one in lines).encode()
        with self._locked() as file:
            size = os.fstat(file).st_size
            if os.write(file, text) < len(text):
                os.ftruncate(file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.is_failing = False

    def replace(self, lines: Iterable[str]) -> None:
        """Put these lines in the file's place at once; who is writing goes on in the new one."""
        fresh = Path(f"{self.baseFilename}.new")
        with self._locked():
            try:
                # Buffered: a short write raises here, where a raw one would be taken for whole.
                with open(fresh, "wb", opener=_private) as file:
                    file.writelines(f"{one}\n".encode() for one in lines)
            except OSError:
                fresh.unlink(missing_ok=True)
                raise
            fresh.replace(self.baseFilename)

    def ids_since(self, moment: datetime | None) -> set[int] | None:
        """Return the ids of the lines in the file and in what it was rotated to.

        What was last written before `moment` is not read. None if there is no file at all.
        """
        path = Path(self.baseFilename)
        files = [one for one in path.parent.glob(f"{path.name}*") if not one.name.endswith(".new")]
        oldest = moment.timestamp() if moment else 0
        recent = [one for one in files if one.stat().st_mtime >= oldest]
        return {found for file in recent for found in _ids(file)} if files else None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Remember the failure and say so once in the log of the application."""
        self.is_failing = True
        if not self._was_failing:
            logging.getLogger("pipelabs").error("audit file not written: %s", sys.exc_info()[1])

    def is_writable(self) -> bool:
        """Return whether a line written now would get there."""
        path = Path(self.baseFilename)
        target = path if path.exists() else path.parent
        is_right_kind = path.is_file() or not path.exists()
        has_room = path.parent.exists() and os.statvfs(path.parent).f_bavail > 0
        return not self.is_failing and is_right_kind and has_room and os.access(target, os.W_OK)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Keep other writers, of this and of other processes, away from the file of this moment."""
        with self.lock or nullcontext():
            file = self._current()
            fcntl.flock(file, fcntl.LOCK_EX)
            while not self._is_in_place(file):
                # Replaced while this one waited for it; reopening lets the old one go.
                file = self._current()
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield file
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def _current(self) -> int:
        """Return the open file that stands at the path now, made if there is none."""
        self.reopenIfNeeded()
        if self.stream is None:
            self.stream = self._open()  # type: ignore[assignment]  # bytes, with no buffer
            self._statstream()
        return cast(FileIO, self.stream).fileno()

    def _is_in_place(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), Path(self.baseFilename).stat())
        except FileNotFoundError:
            return False

    def _open(self) -> FileIO:  # type: ignore[override]  # a line is one write, with no buffer
        return open(self.baseFilename, "ab", buffering=0, opener=_private)


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes every audit line to standard error as it is now, not as it was at start-up."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, verbatim."""
        self.stream = sys.stderr
        super().emit(record)


def write(row: dict[str, Any]) -> None:
    """Send a committed row's line to the console, and to the file if it belongs there."""
    logger.info("%s", format_line(row), extra={"event": row["event"]})


def get_file_handler() -> AuditFileHandler:
    """Return the running process's handler of the audit file."""
    return next(one for one in logger.handlers if isinstance(one, AuditFileHandler))


def configure(path: str) -> None:
    """Point the audit logger at the console and at the file."""
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.addHandler(ConsoleHandler())
    logger.addHandler(AuditFileHandler(path))


def _private(path: str, flags: int) -> int:
    """Open a file that has its mode from birth; `Path.open` takes no opener."""
    return os.open(path, flags, 0o640)


def _ids(file: Path) -> Iterator[int]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        for one in lines:
            if found := ID.search(one):
                yield int(found[1])
