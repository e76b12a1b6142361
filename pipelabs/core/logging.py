"""The application's log: JSON lines or text on standard output, and what is slow or short."""

import logging
import logging.config
import re
import time
from typing import Any

from flask import Flask, g, has_request_context
from pythonjsonlogger.json import JsonFormatter
from sqlalchemy import Engine, Pool, QueuePool, event

from pipelabs.core.db import db

logger = logging.getLogger("pipelabs.database")
SHORT_EVERY_S = 10
"""A pool that stays short says so this often, not at every request."""


TOLD_BY_POSTGRESQL = re.compile(
    r"^(DETAIL|LINE \d+):.*?(?=^(?:\[SQL|\(Background|Traceback|The above|During handling)|\Z)",
    re.MULTILINE | re.DOTALL,
)
"""What it adds to an error: the failing row, or the statement with its values."""


class RedactingFormatter(logging.Formatter):
    """Leaves the values that PostgreSQL quotes out of tracebacks."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """Return the traceback with the place of a quotation, not what was quoted."""
        return TOLD_BY_POSTGRESQL.sub(r"\1: (left out)\n", super().formatException(ei))


class RedactingJsonFormatter(RedactingFormatter, JsonFormatter):
    """JSON lines with the same discretion."""


class RequestFilter(logging.Filter):
    """Adds the id of the running request, by which a caller's report is found."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        state = g.get("state") if has_request_context() else None
        record.request_id = state and state.request_id
        return True


def init_app(app: Flask) -> None:
    """Configure the log, and watch the database's statements and its pool."""
    logging.config.dictConfig(_settings(app.config["LOG_FORMAT"], app.config["LOG_LEVEL"]))
    with app.app_context():
        engine = db.engine
    _watch_statements(engine, app.config["SLOW_QUERY_MS"])
    _watch_pool(engine.pool)


def _settings(style: str, level: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": RequestFilter}},
        "formatters": {
            "json": {
                "()": RedactingJsonFormatter,
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            },
            "text": {
                "()": RedactingFormatter,
                "format": "%(levelname)-7s %(name)s [%(request_id)s] %(message)s",
            },
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": style,
                "filters": ["request"],
            }
        },
        "root": {"level": level, "handlers": ["stdout"]},
    }


def _watch_statements(engine: Engine, slow_ms: int) -> None:
    """Log statements that took longer than `slow_ms`, without their parameters."""

    @event.listens_for(engine, "before_cursor_execute")
    def _start(connection: Any, *_: object) -> None:
        connection.info["started"] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def _end(connection: Any, _cursor: object, statement: str, *_: object) -> None:
        ms = (time.perf_counter() - connection.info["started"]) * 1000
        if ms >= slow_ms:
            logger.warning("slow statement", extra={"ms": round(ms, 1), "statement": statement})


def _watch_pool(pool: Pool) -> None:
    """Log the pool's use when its last connection is taken."""
    last_said = 0.0

    @event.listens_for(pool, "checkout")
    def _checkout(*_: object) -> None:
        nonlocal last_said
        if not isinstance(pool, QueuePool) or pool.checkedout() < pool.size():
            return
        if time.monotonic() - last_said > SHORT_EVERY_S:
            last_said = time.monotonic()
            facts = {"in_use": pool.checkedout(), "size": pool.size()}
            logger.warning("connection pool is short", extra=facts)
