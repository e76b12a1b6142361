"""The worker of background jobs: a process of its own, or a thread of one serving process."""

import asyncio
import fcntl
import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker
from psycopg.conninfo import make_conninfo
from psycopg_pool import PoolTimeout
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql import psycopg2

from pipelabs.jobs.tasks import add_tasks

CONCURRENCY = 4
"""Jobs at a time. Most wait for an exchange or for PostgreSQL."""
CONNECTIONS = 4
"""Of the worker itself, besides those of the tasks: one listens, the others fetch and finish."""
STATEMENT_TIMEOUT_MS = 10_000
CONNECT_WITHIN_S = 10.0
FINISH_WITHIN_S = 20.0
"""Longer than a probe of an exchange takes."""
PAUSE_S = 2.0
"""Before the worker is started again that has lost PostgreSQL."""
logger = logging.getLogger("pipelabs.jobs")


def create_queue(app: Flask) -> App:
    """Return the queue with all tasks, and with connections of its own."""
    arguments, options = psycopg2.dialect().create_connect_args(  # type: ignore[no-untyped-call]
        make_url(app.config["SQLALCHEMY_DATABASE_URI"])
    )
    own = dict(app.config["SQLALCHEMY_ENGINE_OPTIONS"]["connect_args"])
    own["application_name"] = "pipelabs-jobs"
    own.setdefault("options", f"-c statement_timeout={STATEMENT_TIMEOUT_MS}")
    queue = App(
        connector=PsycopgConnector(
            conninfo=make_conninfo(*arguments, **{**own, **options}),
            min_size=1,
            max_size=CONNECTIONS,
            timeout=CONNECT_WITHIN_S,
        )
    )
    add_tasks(queue)
    return queue


def work(app: Flask) -> None:
    """Run jobs until SIGTERM or SIGINT, then finish the running ones."""

    async def run() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await run_until(stopping, app)

    asyncio.run(run())


def work_in_one_process(app: Flask, lock: Path) -> threading.Thread:
    """Run jobs in a thread of the process that has the lock of this file.

    The others wait for it. The kernel releases it when the process ends.
    """

    def run() -> None:
        with lock.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            asyncio.run(run_until(asyncio.Event(), app))

    thread = threading.Thread(target=run, name="jobs", daemon=True)
    thread.start()
    return thread


async def run_until(stopping: asyncio.Event, app: Flask) -> None:
    """Run a worker, and another one when it has ended, such as because PostgreSQL was away."""
    stop = asyncio.create_task(stopping.wait())
    while not stop.done():
        worker = asyncio.create_task(_run_worker(app))
        await asyncio.wait({worker, stop}, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            worker.cancel()
        try:
            await worker
        except asyncio.CancelledError:
            logger.info("the worker of background jobs has stopped")
        except (ConnectorException, PoolTimeout) as error:
            logger.warning("the worker has lost PostgreSQL: %s", type(error).__name__)
        except Exception:
            # In a thread its end would go unnoticed.
            logger.exception("the worker of background jobs has failed")
        await asyncio.wait({stop}, timeout=PAUSE_S)


async def _run_worker(app: Flask) -> None:
    def run_in_context(call: Callable[[], Any], _: JobContext, __: Worker) -> Any:
        with app.app_context():
            return call()

    async with create_queue(app).open_async() as queue:
        await queue.run_worker_async(
            concurrency=CONCURRENCY,
            delete_jobs="successful",
            install_signal_handlers=False,
            shutdown_graceful_timeout=FINISH_WITHIN_S,
            task_middleware=[run_in_context],
        )
