"""What the worker does: by request of an act, or by the clock.

A worker that dies leaves its job to another one, so each task may run twice, and checks what is
still to be done. Tasks run in threads, each with an application context of its own.
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from procrastinate import App, JobContext, RetryStrategy
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from pipelabs.accounts import retention
from pipelabs.audit import verification
from pipelabs.core.actor import Actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import PipeLabsError
from pipelabs.core.job_queue import Job, enqueue
from pipelabs.machines import endings
from pipelabs.markets.quoted_days import count_today
from pipelabs.models import now
from pipelabs.vault import alterations, recheck, replacement, rotation
from pipelabs.vault.records import lock_key
from pipelabs.web import drafts, shown_once, undo

ACTOR_NAME = "service"
"""The actor of background jobs in the audit trail."""
UNTIL_DONE = RetryStrategy(max_attempts=100, wait=60, linear_wait=60)
"""For more than three days. A sweep does later what still failed."""
KEEP_FAILED_H = 7 * 24
AGAIN = timedelta(minutes=1)
REQUESTED, BY_CLOCK = "requested", "by_clock"
"""The queues. Their names are for people only, because the worker takes from both."""
logger = logging.getLogger("pipelabs.jobs")


def add_tasks(queue: App) -> None:
    """Add all tasks to the queue."""
    queue.task(name=Job.DESTROY_SECRETS, queue=REQUESTED, retry=UNTIL_DONE)(destroy_secrets)
    queue.task(name=Job.EXAMINE_KEY, queue=REQUESTED)(examine_key)
    for cron, functions in SCHEDULE.items():
        for function in functions:
            name = function.__name__
            # One at a time. If it fails, it runs at its next time.
            task = queue.task(name=name, queue=BY_CLOCK, lock=name, queueing_lock=name)(function)
            queue.periodic(cron=cron)(task)
    for cron, upkeep in ((EVERY_MINUTE, retry_stalled_jobs), (EVERY_DAY, remove_failed_jobs)):
        keeper: Any = queue.task(name=upkeep.__name__, queue=BY_CLOCK, pass_context=True)(upkeep)
        queue.periodic(cron=cron)(keeper)


def destroy_secrets(key_id: str) -> None:
    """Destroy the secrets of a superseded key, or look again while a machine still holds it."""
    key = UUID(key_id)
    with unit_of_work():
        if not replacement.destroy_due(_actor(), key) and replacement.is_due(key):
            enqueue(Job.DESTROY_SECRETS, at=now() + AGAIN, key_id=key)


def examine_key(key_id: str) -> None:
    """Check a live key with its exchange. If that fails, the key stays due."""
    try:
        recheck.recheck_key(UUID(key_id), _actor())
    except PipeLabsError as error:
        facts = {"key": key_id}
        logger.warning("a key was not checked: %s", type(error).__name__, extra=facts)


def examine_due_keys(timestamp: int) -> None:
    """Enqueue a check of the keys that were last checked a day ago."""
    with unit_of_work():
        enqueued = recheck.enqueue_due()
    if enqueued:
        logger.info("checks of keys were enqueued", extra={"enqueued": enqueued})


def destroy_due_secrets(timestamp: int) -> None:
    """Destroy the secrets whose own jobs have failed, or were superseded before there were jobs."""
    with unit_of_work():
        destroyed = replacement.destroy_due(_actor())
    if destroyed:
        logger.info("expired secrets were destroyed", extra={"destroyed": destroyed})


def check_key_ring(timestamp: int) -> None:
    """Log an error if stored rows need a version that the key ring lacks."""
    with unit_of_work():
        missing = rotation.missing_versions()
    if missing:
        logger.error("VAULT_KEYS lacks versions that are still in use: %s", missing)


def quarantine_altered_keys(timestamp: int) -> None:
    """Check the signatures of a batch of keys, and quarantine those that were altered."""
    with unit_of_work():
        altered = alterations.find_altered(timestamp // 60)
    for key_id in altered:
        with unit_of_work():
            lock_key(key_id, _actor())
    if altered:
        facts = {"keys": [str(key_id) for key_id in altered]}
        logger.error("API keys were changed outside of Pipe Labs", extra=facts)


def expire_leases(timestamp: int) -> None:
    """Record the leases that have expired."""
    with unit_of_work():
        expired = endings.expire_leases(_actor())
    if expired:
        logger.info("leases have expired", extra={"expired": expired})


def count_quoted_markets(timestamp: int) -> None:
    """Count the markets that are quoted today, for the chart of the Desk page."""
    with unit_of_work():
        count_today()


def purge_ended_sessions(timestamp: int) -> None:
    """Delete a batch of sessions and API tokens that ended long ago."""
    with unit_of_work():
        purged = retention.purge_ended()
    if purged:
        logger.info("ended sessions and tokens were deleted", extra={"purged": purged})


def erase_shown_secrets(timestamp: int) -> None:
    """Erase new secrets, drafts and undos that no page shows any more."""
    with unit_of_work():
        shown_once.erase_expired()
        drafts.erase_expired()
        undo.erase_expired()


def verify_audit_sample(timestamp: int) -> None:
    """Verify the newest audit rows and a random sample, and log the ids of those not valid."""
    with unit_of_work():
        invalid = verification.find_in_sample()
    if invalid:
        facts = {"first": invalid[0], "rows": len(invalid)}
        logger.error("audit rows are not valid: run flask audit verify", extra=facts)


async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:
    """Enqueue the jobs of workers that died again."""
    manager: Any = context.app.job_manager
    for job in await manager.get_stalled_jobs():
        try:
            await manager.retry_job(job)
        except UniqueViolation:
            # The same job waits already.
            await manager.finish_job(job, Status.ABORTED, delete_job=True)
        else:
            logger.warning("a job of a worker that died runs again", extra={"job": job.task_name})


async def remove_failed_jobs(context: JobContext, timestamp: int) -> None:
    """Delete jobs that failed a week ago. Those that succeed are deleted at once."""
    await context.app.job_manager.delete_old_jobs(
        nb_hours=KEEP_FAILED_H, include_failed=True, include_cancelled=True, include_aborted=True
    )


EVERY_MINUTE, EVERY_10_MINUTES, EVERY_HOUR, EVERY_DAY = (
    "* * * * *",
    "*/10 * * * *",
    "7 * * * *",
    "23 4 * * *",
)
SCHEDULE: Mapping[str, Sequence[Callable[[int], None]]] = {
    EVERY_MINUTE: (
        check_key_ring,
        count_quoted_markets,
        erase_shown_secrets,
        expire_leases,
        purge_ended_sessions,
        quarantine_altered_keys,
        verify_audit_sample,
    ),
    EVERY_10_MINUTES: (examine_due_keys,),
    EVERY_HOUR: (destroy_due_secrets,),
}
"""What runs by the clock. Each gets the Unix time for which it was scheduled as `timestamp`."""


def _actor() -> Actor:
    return Actor(request_id=secrets.token_hex(4), name=ACTOR_NAME)
