"""Check that background jobs run."""

from collections.abc import Iterator

from pipelabs.core.job_queue import count_jobs, has_worker
from pipelabs.doctor.findings import Finding, count, fail, warn


def check_jobs() -> Iterator[Finding]:
    """Find a queue without a worker, and jobs that have failed."""
    if not has_worker():
        yield fail(
            "No worker runs background jobs, so keys are not checked and expired secrets are not"
            " destroyed. Start flask jobs work, or set JOBS=web."
        )
    if failed := count_jobs().failed:
        yield warn(
            f"{count(failed, 'background job')} failed within a week. Look for the cause in the"
            " worker's log."
        )
