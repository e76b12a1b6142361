"""The application log on standard output."""

import logging
import logging.config
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from pythonjsonlogger.json import JsonFormatter

QUOTED_BY_POSTGRESQL = re.compile(
    r"^(DETAIL|LINE \d+):.*?(?=^(?:\[SQL|\(Background|Traceback|The above|During handling)|\Z)",
    re.MULTILINE | re.DOTALL,
)
"""What PostgreSQL adds to an error: the failing row, or the statement with its values."""


class RedactingFormatter(logging.Formatter):
    """Redacts the values that PostgreSQL quotes in tracebacks."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """Return the traceback without the quoted values."""
        return QUOTED_BY_POSTGRESQL.sub(r"\1: (left out)\n", super().formatException(ei))


class RedactingJsonFormatter(RedactingFormatter, JsonFormatter):
    """JSON lines, redacted in the same way."""


def init_app(app: Flask) -> None:
    """Configure the log. `web` sets the id of the request of each record."""
    # What no format shows is not looked up for each record, as logging's HOWTO proposes. Only
    # gunicorn's shows the process.
    logging._srcfile = None  # noqa: SLF001 - the HOWTO names it
    logging.logThreads = logging.logMultiprocessing = False
    logging.config.dictConfig(_settings(app.config["LOG_FORMAT"], app.config["LOG_LEVEL"]))


@contextmanager
def silenced() -> Iterator[None]:
    """Log nothing in the block, whose command writes to the same output."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)


def _settings(style: str, level: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": RedactingJsonFormatter,
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            },
            "text": {
                "()": RedactingFormatter,
                "format": "%(levelname)-7s %(name)s [%(request_id)s] %(message)s",
                "defaults": {"request_id": None},
            },
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": style,
            }
        },
        "root": {"level": level, "handlers": ["stdout"]},
        # It tells of each job three times.
        "loggers": {"procrastinate": {"level": level if level == "DEBUG" else "WARNING"}},
    }
