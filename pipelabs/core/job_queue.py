"""Enqueue background jobs in the transaction of the act that needs them.

No act is without its job, and no job is without its act. `pipelabs.jobs` has what they do, and the
worker that runs them.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from procrastinate import App
from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from sqlalchemy import text

from pipelabs.core.db import db, get_connection

QUEUE = App(connector=SQLAlchemyPsycopg2Connector())
"""Never opened: it has no connections of its own."""


HAS_WORKER = text(
    "SELECT EXISTS (SELECT FROM procrastinate_workers"
    " WHERE last_heartbeat > now() - interval '60 s')"
)
"""A worker shows every 10 s that it is there."""
COUNT_JOBS = text(
    "SELECT count(*) FILTER (WHERE status = 'todo' AND coalesce(scheduled_at, now()) <= now()),"
    " count(*) FILTER (WHERE status = 'todo' AND scheduled_at > now()),"
    " count(*) FILTER (WHERE status = 'doing'),"
    " count(*) FILTER (WHERE status = 'failed')"
    " FROM procrastinate_jobs"
)


class JobCounts(NamedTuple):
    """How many jobs wait for a worker, are scheduled for later, run, and failed in a week."""

    waiting: int
    scheduled: int
    running: int
    failed: int


class Job(StrEnum):
    """Names of jobs that acts enqueue. A job can be older than the release that runs it."""

    DESTROY_SECRETS = "destroy_secrets"
    EXAMINE_KEY = "examine_key"


def enqueue(job: Job, *, at: datetime | None = None, **ids: UUID) -> None:
    """Let a worker do this once the current transaction is committed, and not before `at`.

    Arguments are ids only, because the queue stores them as they are.
    """
    _defer(job, at, ids)


def enqueue_once(job: Job, *, at: datetime | None = None, lock: str, **ids: UUID) -> bool:
    """Enqueue a job unless the same one waits already, and return whether it was enqueued.

    Jobs with the same `lock` run one after the other.
    """
    name = ":".join([job, *map(str, ids.values())])
    try:
        with db.session.begin_nested():
            _defer(job, at, ids, lock=lock, queueing_lock=name)
    except AlreadyEnqueued:
        return False
    return True


def has_worker() -> bool:
    """Return whether a worker runs the jobs."""
    return bool(db.session.scalar(HAS_WORKER))


def count_jobs() -> JobCounts:
    """Return the number of jobs. Those that succeeded are deleted."""
    return JobCounts(*db.session.execute(COUNT_JOBS).one())


def _defer(job: Job, at: datetime | None, ids: dict[str, UUID], **options: Any) -> None:
    deferrer = QUEUE.configure_task(
        job, schedule_at=at, connection=get_connection(), queue="requested", **options
    )
    try:
        deferrer.defer(**{name: str(value) for name, value in ids.items()})
    except AlreadyEnqueued:
        raise
    except ConnectorException as error:
        # The caller handles errors of the database, which the library has wrapped.
        raise error.__cause__ or error from None
