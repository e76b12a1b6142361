"""The worker, on a database that it commits to."""

import logging
import os
import signal
import threading
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, text

from pipelabs.core.db import db, unit_of_work
from pipelabs.core.job_queue import Job, enqueue
from pipelabs.jobs import tasks, worker
from tests.waiting import wait_for

pytestmark = pytest.mark.own_database


@pytest.fixture
def ask(app):
    """Return a caller of statements on the worker's database."""
    engine = create_engine(
        app.config["DATABASE_MIGRATION_URL"], isolation_level="AUTOCOMMIT", poolclass=NullPool
    )

    def call(statement, **values):
        with engine.connect() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else None

    yield call
    call(
        "TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE"
    )


@pytest.fixture
def during(app, ask):
    """Return a runner of the worker that stops it when the steps are over."""
    failed = []

    def follow(steps):
        try:
            # The signals are handled before the worker registers.
            wait_for(lambda: ask("SELECT FROM procrastinate_workers"))
            steps()
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def run(steps):
        thread = threading.Thread(target=follow, args=(steps,))
        thread.start()
        worker.work(app)
        thread.join()
        assert failed == []

    return run


def request(app, key_id):
    with app.app_context(), unit_of_work():
        enqueue(Job.DESTROY_SECRETS, key_id=key_id)


@pytest.fixture
def destroyed(monkeypatch):
    """Return the ids with which the task is called."""
    called: list[str] = []

    def destroy_secrets(key_id):
        called.append(key_id)

    monkeypatch.setattr(tasks, "destroy_secrets", destroy_secrets)
    return called


def jobs(ask, name="destroy_secrets"):
    return ask("SELECT status, attempts FROM procrastinate_jobs WHERE task_name = :name", name=name)


def test_worker_runs_what_was_enqueued_before_and_what_comes(app, ask, during, destroyed):
    before, meanwhile = uuid4(), uuid4()
    request(app, before)

    def steps():
        wait_for(lambda: destroyed)
        request(app, meanwhile)
        wait_for(lambda: len(destroyed) == 2 and not jobs(ask))

    during(steps)

    assert destroyed == [str(before), str(meanwhile)]
    assert ask("SELECT FROM procrastinate_workers") == []


def test_task_that_fails_is_retried_later(app, ask, during, monkeypatch):
    def fail(key_id):
        raise ZeroDivisionError

    monkeypatch.setattr(tasks, "destroy_secrets", fail)
    request(app, uuid4())

    during(lambda: wait_for(lambda: jobs(ask) == [("todo", 1)]))


def test_tasks_by_the_clock_run_in_the_context_of_the_application(
    app, ask, during, monkeypatch, rows
):
    ran = threading.Event()

    def count(timestamp):
        assert db.session.scalar(text("SELECT 1")) == 1
        ran.set()

    monkeypatch.setattr(tasks, "SCHEDULE", {tasks.EVERY_MINUTE: (count,)})

    during(lambda: wait_for(lambda: ran.is_set() and not jobs(ask, "count")))


def test_jobs_of_a_worker_that_died_run_again(app, ask, during, destroyed, caplog):
    request(app, uuid4())
    ask("UPDATE procrastinate_jobs SET status = 'doing'")

    with caplog.at_level(logging.WARNING):
        during(lambda: wait_for(lambda: destroyed))

    assert "a job of a worker that died runs again" in caplog.text


def test_a_job_that_waits_already_does_not_run_twice(app, ask, during, destroyed):
    """The one of the worker that died is deleted: its queueing lock is taken."""
    request(app, uuid4())
    ask("UPDATE procrastinate_jobs SET status = 'doing', queueing_lock = 'same'")
    request(app, uuid4())
    ask(
        "UPDATE procrastinate_jobs SET queueing_lock = 'same', scheduled_at = now() + interval "
        "'1 hour' WHERE status = 'todo'"
    )

    during(lambda: wait_for(lambda: jobs(ask) == [("todo", 0)]))

    assert destroyed == []


def test_jobs_that_failed_a_week_ago_are_deleted(app, ask, during, monkeypatch):
    monkeypatch.setattr(tasks, "EVERY_DAY", tasks.EVERY_MINUTE)
    for _ in range(2):
        request(app, uuid4())
    ask("UPDATE procrastinate_jobs SET status = 'failed'")
    [(old,), (recent,)] = ask("SELECT id FROM procrastinate_jobs ORDER BY id")
    ask("UPDATE procrastinate_events SET at = at - interval '8 days' WHERE job_id = :id", id=old)

    left = "SELECT id FROM procrastinate_jobs WHERE task_name = 'destroy_secrets'"
    during(lambda: wait_for(lambda: ask(left) == [(recent,)]))


def test_worker_starts_again_when_postgresql_is_back(app, ask, during, destroyed, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE_S", 0.01)

    def steps():
        ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'pipelabs-jobs'"
        )
        request(app, uuid4())
        wait_for(lambda: destroyed)

    during(steps)


def test_worker_waits_for_postgresql(app, ask, destroyed, monkeypatch, caplog):
    monkeypatch.setattr(worker, "PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "CONNECT_WITHIN_S", 0.01)
    monkeypatch.setitem(
        app.config, "SQLALCHEMY_DATABASE_URI", "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"
    )

    def stop():
        wait_for(lambda: "the worker has lost PostgreSQL" in caplog.text)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    worker.work(app)
    thread.join()

    assert "the worker has lost PostgreSQL: PoolTimeout" in caplog.text


def test_worker_that_fails_is_started_again(app, ask, during, destroyed, monkeypatch, caplog):
    monkeypatch.setattr(worker, "PAUSE_S", 0.01)
    create_queue, failures = worker.create_queue, [ValueError("a fault")]

    def fail_once(app):
        if failures:
            raise failures.pop()
        return create_queue(app)

    monkeypatch.setattr(worker, "create_queue", fail_once)
    request(app, uuid4())

    during(lambda: wait_for(lambda: destroyed))

    assert "the worker of background jobs has failed" in caplog.text


def test_one_process_of_a_server_runs_jobs(app, tmp_path, monkeypatch):
    """The next one takes over when it ends."""
    running, may_end = threading.Semaphore(0), threading.Semaphore(0)

    async def run(stopping, app):
        running.release()
        may_end.acquire()

    monkeypatch.setattr(worker, "run_until", run)
    lock = tmp_path / "jobs.lock"
    threads = [worker.work_in_one_process(app, lock) for _ in range(2)]

    assert running.acquire(timeout=120)
    assert not running.acquire(timeout=0.2)
    may_end.release()
    assert running.acquire(timeout=120)
    may_end.release()
    for thread in threads:
        thread.join(120)
