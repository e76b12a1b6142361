"""Jobs are enqueued in the transaction of an act."""

from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipelabs.core.db import db, finish, unit_of_work
from pipelabs.core.job_queue import Job, enqueue, enqueue_once

pytestmark = pytest.mark.own_database
KEY = uuid4()


def waiting():
    return db.session.execute(text("SELECT task_name, args FROM procrastinate_jobs")).all()


def test_a_job_is_committed_with_its_act(app):
    with app.app_context():
        with unit_of_work():
            enqueue(Job.EXAMINE_KEY, key_id=KEY)

        assert waiting() == [("examine_key", {"key_id": str(KEY)})]


def test_an_act_that_is_rolled_back_leaves_no_job(app):
    with app.app_context():
        with unit_of_work():
            enqueue(Job.EXAMINE_KEY, key_id=KEY)
            finish(commit=False)

        assert waiting() == []


def test_enqueue_once_leaves_the_act_as_it_is(app):
    with app.app_context():
        with unit_of_work():
            results = [
                enqueue_once(Job.EXAMINE_KEY, lock="okx", key_id=key) for key in (KEY, KEY, uuid4())
            ]
            enqueue(Job.DESTROY_SECRETS, key_id=KEY)

        assert results == [True, False, True]
        assert [name for name, _ in waiting()] == ["examine_key", "examine_key", "destroy_secrets"]


def test_an_error_of_the_database_is_not_wrapped(app):
    with app.app_context():
        db.session.execute(text("SET TRANSACTION READ ONLY"))

        with pytest.raises(DBAPIError, match="read-only"):
            enqueue(Job.EXAMINE_KEY, key_id=KEY)
        db.session.rollback()
