"""Rows that are kept locked, who waits for them, and acts that meet there."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import select, text

from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import PipeLabsError
from pipelabs.models import ExchangeAPIKey
from tests.waiting import wait_for

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def held(app, *ids, model=ExchangeAPIKey):
    """Keep rows locked, so that whoever wants them waits."""
    with app.app_context(), db.engine.begin() as connection:
        table = model.__table__
        connection.execute(select(table.c.id).where(table.c.id.in_(ids)).with_for_update())
        yield connection


def waiting(app):
    """Return how many sessions wait for a lock."""
    with app.app_context():
        return db.session.scalar(WAITING)


def meet(app, held_id, *acts, model=ExchangeAPIKey):
    """Do acts at once, each a unit of work: all of them begin while a row is held, in order.

    Return what each was answered, or the kind of error that it raised.
    """

    def do(act):
        try:
            with app.app_context(), unit_of_work():
                return act()
        except PipeLabsError as error:
            return type(error)

    with ThreadPoolExecutor(len(acts)) as pool:
        with held(app, held_id, model=model):
            jobs = []
            for act in acts:
                jobs.append(pool.submit(do, act))
                wait_for(lambda: waiting(app) == len(jobs))
        return [job.result() for job in jobs]
