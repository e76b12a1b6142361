"""Health checks of everything this process depends on."""

import logging
import time
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import NamedTuple, cast

from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import QueuePool, text
from sqlalchemy.exc import DBAPIError, NoResultFound
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipelabs.audit import log_file
from pipelabs.core import shutdown
from pipelabs.core.db import MIGRATIONS, db
from pipelabs.core.job_queue import has_worker
from pipelabs.core.replica import describe as describe_replica
from pipelabs.core.replica import find_replica
from pipelabs.vault import rotation
from pipelabs.vault.ring import ring_versions
from pipelabs.web.auth import has_untrusted_proxy
from pipelabs.web.rate_limit import limiter

logger = logging.getLogger("pipelabs.health")
OK, UNREACHABLE, MISSING, FULL = "ok", "unreachable", "missing", "full"
READ_ONLY = "read-only"
PROXY = "proxy"
DATABASE_STATE = text(
    "SELECT version_num, current_setting('transaction_read_only') FROM alembic_version"
)
LAST_REPORT = "pipelabs.health"
"""Key in the application's extensions: the last report, and when it was made."""


class Reason(StrEnum):
    """Why an instance is not ready. Anyone may know."""

    STOPPING = "stopping"
    DATABASE = "database"
    MIGRATIONS = "migrations"


class Report(NamedTuple):
    """Why this instance is not ready for requests, if so, and the state of each component."""

    reason: Reason | None
    parts: dict[str, str]

    @property
    def is_ready(self) -> bool:
        """Return whether the instance can serve requests."""
        return self.reason is None

    @property
    def status(self) -> str:
        """Return `ready`, `degraded` or `unavailable`."""
        if not self.is_ready:
            return "unavailable"
        # Any caller can send the header of a proxy, so it decides nothing.
        states = {state for name, state in self.parts.items() if name != PROXY}
        return "ready" if states == {OK} else "degraded"


class PoolUse(NamedTuple):
    """Database connections of this process in use, and their limit."""

    in_use: int
    max: int


def check() -> Report:
    """Return the state of all components, which is remembered for `READY_TTL_S`.

    The instance is ready if PostgreSQL can be written and has the migrations of this release or
    later ones. An instance that is shutting down still serves requests but is not ready. A change
    is logged.
    """
    last, made_at = current_app.extensions.get(LAST_REPORT, (None, 0.0))
    if shutdown.is_shutting_down():
        report = Report(Reason.STOPPING, {})
    elif last is None or time.monotonic() - made_at >= current_app.config["READY_TTL_S"]:
        report = _check()
    else:
        return cast(Report, last)
    current_app.extensions[LAST_REPORT] = (report, time.monotonic())
    if last is not None and report != last:
        facts = {"status": report.status, "reason": report.reason, "parts": report.parts}
        logger.warning("readiness changed", extra=facts)
    return report


def _check() -> Report:
    parts = _database()
    reason = _reason(parts)
    pool = pool_use()
    parts["pool"] = OK if pool.in_use < pool.max else FULL
    parts["redis"] = _redis()
    parts["vault"] = _vault(has_database=reason is None)
    parts["jobs"] = _jobs(has_database=reason is None)
    if reason is None and find_replica():
        parts["replica"] = describe_replica()
    parts["audit_file"] = OK if log_file.get_file_handler().is_writable() else "not writable"
    parts[PROXY] = "not trusted" if has_untrusted_proxy() else OK
    return Report(reason, parts)


def _reason(database: Mapping[str, str]) -> Reason | None:
    if database["postgresql"] != OK:
        return Reason.DATABASE
    return None if database["migrations"] == OK else Reason.MIGRATIONS


def pool_use() -> PoolUse:
    """Return the use of the connection pool, this request's own connection included."""
    options = current_app.config["SQLALCHEMY_ENGINE_OPTIONS"]
    pool = cast(QueuePool, db.engine.engine.pool)
    return PoolUse(pool.checkedout(), options["pool_size"] + options["max_overflow"])


def _database() -> dict[str, str]:
    try:
        db.session.execute(text("SET LOCAL statement_timeout = 1000"))
        revision, is_read_only = db.session.execute(DATABASE_STATE).one()
    except (DBAPIError, NoResultFound, PoolTimeout):
        db.session.rollback()
        return {"postgresql": UNREACHABLE}
    if is_read_only == "on":
        # The next check, and the next write, look for the new primary.
        db.session.rollback()
        db.engine.dispose()
        return {"postgresql": READ_ONLY}
    is_current = revision not in _older_revisions()
    return {"postgresql": OK, "migrations": OK if is_current else MISSING}


@cache
def _older_revisions() -> frozenset[str]:
    """Return the revisions before that of this release. Reading them imports every migration.

    One that is not among them is newer: while a release is rolled out, its migrations are applied
    before this instance stops.
    """
    script = ScriptDirectory(MIGRATIONS)
    revisions = {revision.revision for revision in script.walk_revisions()}
    return frozenset(revisions - set(script.get_heads()))


def _vault(*, has_database: bool) -> str:
    """Return whether the key ring is set and has every version that stored rows need."""
    if not ring_versions():
        return MISSING
    missing = rotation.missing_kek_versions() if has_database else []
    return f"lacks version {', '.join(map(str, missing))}" if missing else OK


def _jobs(*, has_database: bool) -> str:
    """Return whether a worker runs the background jobs."""
    return OK if not has_database or has_worker() else "no worker"


def _redis() -> str:
    if current_app.config["RATELIMIT_STORAGE_URI"].startswith("memory"):
        return MISSING
    return OK if limiter.storage.check() else "not writable"
