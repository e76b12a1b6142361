from sqlalchemy import text

from pipelabs.core.db import db
from pipelabs.doctor.findings import Severity

WORKER = "INSERT INTO procrastinate_workers DEFAULT VALUES"
FAILED = """
INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)
VALUES ('requested', 'examine_key', '{}', 'failed')
"""


def execute(app, statement):
    with app.app_context():
        db.session.execute(text(statement))
        db.session.commit()


def test_a_queue_without_a_worker_is_found_alone(app, examined):
    [found] = examined(without=())
    execute(app, WORKER)

    assert (found.check, found.severity) == ("jobs", Severity.ERROR)
    assert examined(without=()) == []


def test_failed_jobs_are_found_alone(app, examined):
    execute(app, WORKER)
    execute(app, FAILED)

    [found] = examined(without=())

    assert (found.check, found.severity) == ("jobs", Severity.WARNING)
    assert found.message.startswith("1 background job failed within a week.")
