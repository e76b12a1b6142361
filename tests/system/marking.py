"""Acts that each enqueue a job, and the worker that runs it: `python -m tests.system.marking`.

`act N` commits N acts, and rolls back as many. `work` runs the jobs: each writes down its act.
"""

import sys
from uuid import UUID, uuid4

from sqlalchemy import text

from pipelabs.core.db import db, finish, unit_of_work
from pipelabs.core.job_queue import enqueue
from pipelabs.jobs import tasks, worker

MARK = "mark"
TABLES = """
CREATE TABLE acts (id uuid PRIMARY KEY);
CREATE TABLE marks (id uuid);
GRANT ALL ON acts, marks TO PUBLIC;
"""


def act(count):
    """Commit and roll back acts in turn."""
    for number in range(2 * count):
        with unit_of_work():
            act_id = uuid4()
            db.session.execute(text("INSERT INTO acts VALUES (:id)"), {"id": act_id})
            enqueue(MARK, act_id=act_id)  # type: ignore[arg-type]
            if number % 2:
                finish(commit=False)


def mark(act_id):
    """Write the act down, once, as a task should."""
    with unit_of_work():
        db.session.execute(
            text(
                "INSERT INTO marks SELECT :id WHERE NOT EXISTS (SELECT FROM marks WHERE id = :id)"
            ),
            {"id": UUID(act_id)},
        )


def work(app):
    """Run the jobs until SIGTERM."""
    create_queue = worker.create_queue

    def create_with_mark(app):
        queue = create_queue(app)
        queue.task(name=MARK, retry=tasks.UNTIL_DONE)(mark)
        return queue

    worker.create_queue = create_with_mark
    worker.work(app)


def main(word, count=0):
    from wsgi import app  # noqa: PLC0415 - it reads the settings

    if word == "work":
        work(app)
        return
    with app.app_context():
        act(int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
