"""The state of every part this process needs, asked anew each time."""

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

OK, AWAY, MISSING, FULL = "ok", "away", "missing", "full"


class Report(NamedTuple):
    """Whether calls would be served, and the state of each part by name."""

    is_ready: bool
    parts: dict[str, str]

    @property
    def status(self) -> str:
        """Return `ready`, `degraded` or `unavailable`."""
        if not self.is_ready:
            return "unavailable"
        return "ready" if set(self.parts.values()) == {OK} else "degraded"


class PoolUse(NamedTuple):
    """How many of this process's connections are at work, and how many it may have."""

    in_use: int
    max: int


def check() -> Report:
    """Return the state of all parts; without PostgreSQL, newly migrated, nothing is served.

    An instance that was told to stop still serves, but wants no more calls.
    """
    if shutdown.is_shutting_down():
        return Report(is_ready=False, parts={})
    parts = _database()
    is_ready = set(parts.values()) == {OK}
    pool = pool_use()
    parts["pool"] = OK if pool.in_use < pool.max else FULL
    parts["redis"] = _redis()
    parts["vault"] = _vault(is_asked=is_ready)
    parts["audit_file"] = OK if log_file.get_file_handler().is_writable() else "not writable"
    return Report(is_ready, parts)


def pool_use() -> PoolUse:
    """Return how much of the pool is in use, this request's own connection included."""
    options = current_app.config["SQLALCHEMY_ENGINE_OPTIONS"]
    pool = cast(QueuePool, db.engine.engine.pool)
    return PoolUse(pool.checkedout(), options["pool_size"] + options["max_overflow"])


def _database() -> dict[str, str]:
    try:
        db.session.execute(text("SET LOCAL statement_timeout = 1000"))
        revision = db.session.scalar(text("SELECT version_num FROM alembic_version"))
    except (DBAPIError, PoolTimeout):
        db.session.rollback()
        return {"postgresql": AWAY}
    newest = ScriptDirectory(MIGRATIONS).get_current_head()
    return {"postgresql": OK, "migrations": OK if revision == newest else MISSING}


def _vault(*, is_asked: bool) -> str:
    """Return whether the ring is there, and has every key that a row needs."""
    if not ring_versions():
        return MISSING
    missing = rotation.missing_versions() if is_asked else []
    return f"lacks version {', '.join(map(str, missing))}" if missing else OK


def _redis() -> str:
    if current_app.config["RATELIMIT_STORAGE_URI"].startswith("memory"):
        return MISSING
    return OK if limiter.storage.check() else AWAY
