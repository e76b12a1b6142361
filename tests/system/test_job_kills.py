"""Kill -9 of the worker of background jobs: no job is lost, and none is without its act."""

import os
import secrets
import subprocess
import sys
from contextlib import contextmanager

import psycopg2
import pytest

from tests import instances
from tests.paths import ROOT
from tests.sizes import sized
from tests.system.marking import TABLES
from tests.waiting import wait_for

WORK = ["-m", "tests.system.marking", "work"]
ACTS_A_KILL = 100
RETRY_NOW = """
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW('by_clock', 'retry_stalled_jobs', 0, NULL, NULL, '{"timestamp": 0}'::jsonb, NULL)
]::procrastinate_job_to_defer_v1[])
"""
LEFT = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'mark'"


@pytest.fixture
def book():
    """A database of its own, as settings, and a caller of statements on it."""
    settings = instances.own_database("job_kills")
    environment = os.environ | settings
    environment |= {"SECRET_KEY": secrets.token_urlsafe(48), "LOG_LEVEL": "WARNING"}
    connection = psycopg2.connect(settings["DATABASE_MIGRATION_URL"].replace("+psycopg2", ""))
    connection.autocommit = True

    def ask(statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    ask(TABLES)
    yield environment, ask
    connection.close()


@contextmanager
def program(arguments, environment):
    """Run a program of the checkout; kill it at the end if it still runs."""
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait(120)


def wait_for_worker(ask):
    wait_for(lambda: ask("SELECT id FROM procrastinate_workers"))


@sized(100, 2_000)
def test_kill_9_of_the_worker_loses_no_job(book, size, record_property):
    environment, ask = book
    kills = max(size // ACTS_A_KILL, 2)

    with program(["-m", "tests.system.marking", "act", str(size)], environment) as acting:
        for number in range(kills):
            with program(WORK, environment) as worker:
                enough = size * (number + 1) // (kills + 1)
                wait_for(lambda enough=enough: ask("SELECT count(*) FROM marks")[0][0] >= enough)
                worker.kill()
            # Else the next worker would wait 30 s before it takes over.
            ask("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
        assert acting.wait(600) == 0
    ask(RETRY_NOW)
    with program(WORK, environment):
        wait_for(lambda: ask(LEFT) == [(0,)])

    [(acts,)] = ask("SELECT count(*) FROM acts")
    [(differing,)] = ask(
        "SELECT count(*) FROM acts FULL JOIN marks USING (id) WHERE acts.id IS NULL "
        "OR marks.id IS NULL"
    )
    record_property("acts", acts)
    record_property("kills", kills)
    record_property("lost or without an act", differing)
    assert (acts, differing) == (size, 0)


def test_job_starts_after_its_act_is_committed(book, record_property):
    environment, ask = book
    ask("ALTER TABLE marks ADD at timestamptz DEFAULT clock_timestamp()")
    ask("ALTER TABLE acts ADD at timestamptz DEFAULT clock_timestamp()")
    with program(WORK, environment):
        wait_for_worker(ask)
        subprocess.run(
            [sys.executable, "-m", "tests.system.marking", "act", "100"],
            cwd=ROOT,
            env=environment,
            check=True,
        )
        wait_for(lambda: ask("SELECT count(*) FROM marks") == [(100,)])
    rows = ask("SELECT extract(epoch FROM marks.at - acts.at) FROM acts JOIN marks USING (id)")
    waits = sorted(float(wait) for (wait,) in rows)
    record_property("ms, median", round(waits[50] * 1e3, 1))
    record_property("ms, 99 of 100", round(waits[-2] * 1e3, 1))
    assert len(waits) == 100


def test_worker_finishes_its_job_before_it_stops(book):
    environment, ask = book
    ask(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$"
    )
    ask("CREATE TRIGGER slow BEFORE INSERT ON marks FOR EACH ROW EXECUTE FUNCTION wait()")
    with program(WORK, environment) as worker:
        wait_for_worker(ask)
        subprocess.run(
            [sys.executable, "-m", "tests.system.marking", "act", "1"],
            cwd=ROOT,
            env=environment,
            check=True,
        )
        wait_for(lambda: ask("SELECT id FROM procrastinate_jobs WHERE status = 'doing'"))
        worker.terminate()

        assert worker.wait(120) == 0
    assert ask("SELECT count(*) FROM marks") == [(1,)]
    assert ask(LEFT) == [(0,)]
