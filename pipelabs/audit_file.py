"""The audit line of six fields, and the file and console that it is written to."""

import logging
import os
import sys
import unicodedata
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO

from flask import Flask

logger = logging.getLogger("pipelabs.audit")
VALUE_LENGTH = 1_024
"""Characters of a value that a line shows; the row has the whole."""
CUT_MARK = "\\…"
"""No escape looks like it, so a cut value is never taken for a whole one."""
FILED = "client.create"
"""Events that begin so are attempts to create a client, and go to the file too."""
ESCAPES = {
    ord("\\"): "\\\\",
    ord("|"): "\\x7c",
    ord(" "): "\\x20",
    ord("="): "\\x3d",
    ord("\r"): "\\r",
    ord("\n"): "\\n",
    ord("\t"): "\\t",
}
ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def encode(value: object) -> str:
    """Return a value that can neither end its field nor its line, and can be read back.

    Nothing is `-`; a text that is itself `-` is escaped, so that the two differ.
    """
    if value is None:
        return "-"
    text = str(value)
    if text == "-":
        return "\\x2d"
    if text.isalnum() and text.isascii() and len(text) <= VALUE_LENGTH:
        return text
    shown = "".join(map(_escaped, text[:VALUE_LENGTH]))
    return shown + CUT_MARK if len(text) > VALUE_LENGTH else shown


def line(row: dict[str, Any]) -> str:
    """Return the line of an audit row: `timestamp | status | request_id | admin | client_id | …`.

    The details are sorted, because the database does not keep the order in which they came.
    """
    at = row["at"].strftime("%Y-%m-%dT%H:%M:%S.") + f"{row['at'].microsecond // 1000:03d}Z"
    known = {
        "event": row["event"],
        "http": row["http"],
        "ip": row["address"],
        "ms": row["ms"],
        "id": row["id"],
    }
    facts = known | {key: row["details"][key] for key in sorted(row["details"].keys() - known)}
    details = " ".join(f"{encode(key)}={encode(value)}" for key, value in facts.items())
    fields = (row["status"], row["request_id"], row["actor"], row["client_id"])
    return " | ".join([at, *map(encode, fields), details])


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
        self._was_failing, self.is_failing = self.is_failing, False
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

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
        return not self.is_failing and is_right_kind and os.access(target, os.W_OK)

    def _open(self) -> TextIOWrapper:
        # Only the built-in takes an opener, and only an opener gives the file its mode from birth.
        return open(
            self.baseFilename,
            "a",
            encoding="utf-8",
            opener=lambda name, flags: os.open(name, flags, 0o640),
        )


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes every audit line to standard error as it is now, not as it was at start-up."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, verbatim."""
        self.stream = sys.stderr
        super().emit(record)


def write(row: dict[str, Any]) -> None:
    """Send a committed row's line to the console, and to the file if it belongs there."""
    logger.info("%s", line(row), extra={"event": row["event"]})


def file_handler() -> AuditFileHandler:
    """Return the running process's handler of the audit file."""
    return next(one for one in logger.handlers if isinstance(one, AuditFileHandler))


def init_app(app: Flask) -> None:
    """Point the audit logger at the console and at the file of the settings."""
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.addHandler(ConsoleHandler())
    logger.addHandler(AuditFileHandler(app.config["AUDIT_LOG_FILE"]))


def _escaped(character: str) -> str:
    if escape := ESCAPES.get(ord(character)):
        return escape
    if unicodedata.category(character) not in ESCAPED_CATEGORIES:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
