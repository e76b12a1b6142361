"""Health checks of everything this process depends on."""

import time
from functools import cache
from typing import NamedTuple, cast

from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import QueuePool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipelabs.audit import log_file
from pipelabs.core import shutdown
from pipelabs.core.db import MIGRATIONS, db
from pipelabs.vault import rotation
from pipelabs.vault.ring import ring_versions
from pipelabs.web.rate_limit import limiter

OK, UNREACHABLE, MISSING, FULL = "ok", "unreachable", "missing", "full"
LAST_REPORT = "pipelabs.health"
"""Key in the application's extensions: the last report, and when it was made."""


class Report(NamedTuple):
    """Whether this instance is ready for requests, and the state of each component by name."""

    is_ready: bool
    parts: dict[str, str]

    @property
    def status(self) -> str:
        """Return `ready`, `degraded` or `unavailable`."""
        if not self.is_ready:
            return "unavailable"
        return "ready" if set(self.parts.values()) == {OK} else "degraded"


class PoolUse(NamedTuple):
    """Database connections of this process in use, and their limit."""

    in_use: int
    max: int


def check() -> Report:
    """Return the state of all components, which is remembered for `READY_TTL_S`.

    The instance is ready if PostgreSQL is reachable and fully migrated. An instance that is
    shutting down still serves requests but is not ready.
    """
    if shutdown.is_shutting_down():
        return Report(is_ready=False, parts={})
    report, made_at = current_app.extensions.get(LAST_REPORT, (None, 0.0))
    if report is None or time.monotonic() - made_at >= current_app.config["READY_TTL_S"]:
        report = _check()
        current_app.extensions[LAST_REPORT] = (report, time.monotonic())
    return cast(Report, report)


def _check() -> Report:
    parts = _database()
    is_ready = set(parts.values()) == {OK}
    pool = pool_use()
    parts["pool"] = OK if pool.in_use < pool.max else FULL
    parts["redis"] = _redis()
    parts["vault"] = _vault(has_database=is_ready)
    parts["audit_file"] = OK if log_file.get_file_handler().is_writable() else "not writable"
    return Report(is_ready, parts)


def pool_use() -> PoolUse:
    """Return the use of the connection pool, this request's own connection included."""
    options = current_app.config["SQLALCHEMY_ENGINE_OPTIONS"]
    pool = cast(QueuePool, db.engine.engine.pool)
    return PoolUse(pool.checkedout(), options["pool_size"] + options["max_overflow"])


def _database() -> dict[str, str]:
    try:
        db.session.execute(text("SET LOCAL statement_timeout = 1000"))
        revision = db.session.scalar(text("SELECT version_num FROM alembic_version"))
    except (DBAPIError, PoolTimeout):
        db.session.rollback()
        return {"postgresql": UNREACHABLE}
    return {"postgresql": OK, "migrations": OK if revision == _newest_revision() else MISSING}


@cache
def _newest_revision() -> str | None:
    """Return the revision of this release. Reading it imports every migration."""
    return ScriptDirectory(MIGRATIONS).get_current_head()


def _vault(*, has_database: bool) -> str:
    """Return whether the key ring is set and has every version that stored rows need."""
    if not ring_versions():
        return MISSING
    missing = rotation.missing_versions() if has_database else []
    return f"lacks version {', '.join(map(str, missing))}" if missing else OK


def _redis() -> str:
    if current_app.config["RATELIMIT_STORAGE_URI"].startswith("memory"):
        return MISSING
    return OK if limiter.storage.check() else UNREACHABLE
