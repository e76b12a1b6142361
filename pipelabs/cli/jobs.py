"""`flask jobs`: run the worker of background jobs."""

from pipelabs.cli.actors import OperatorGroup
from pipelabs.core.settings import current_context
from pipelabs.jobs import worker

group = OperatorGroup("jobs", help="Run background jobs.")


@group.command("work")
def work() -> None:
    """Run background jobs until SIGTERM. One process is enough for all instances.

    A second one takes over at once if the first one dies.
    """
    worker.work(current_context().app)
