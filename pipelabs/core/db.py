"""The database: sessions, units of work, and the one place that commits."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import CursorResult, Executable

from pipelabs.models import Base


class AuditedSession(FlaskSession):
    """The session class that the audit outbox subscribes to."""


db = SQLAlchemy(metadata=Base.metadata, session_options={"class_": AuditedSession})
MIGRATIONS = str(Path(__file__).parents[2] / "migrations")
migrate = Migrate(directory=MIGRATIONS, render_as_batch=False)


def run(statement: Executable, values: Mapping[str, Any]) -> CursorResult[*tuple[Any, ...]]:
    """Run a Core statement in the current transaction.

    Half the cost of `session.execute`, which looks for ORM objects in the result. Pending objects
    of the session are not flushed first.
    """
    return db.session.connection().execute(statement, values)


def release() -> None:
    """End the current transaction, which has written nothing, before waiting for something slow.

    Its connection returns to the pool; objects of the session are loaded again when next used.
    """
    finish(commit=False)


def finish(*, commit: bool) -> None:
    """End the current unit of work; a commit that fails is rolled back and raised."""
    if not commit or not db.session().in_transaction():
        db.session.rollback()
        return
    try:
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


@contextmanager
def unit_of_work() -> Iterator[None]:
    """Commit what the block did, or none of it."""
    try:
        yield
    except BaseException:
        finish(commit=False)
        raise
    finish(commit=True)


def init_app(app: Flask) -> None:
    """Bind the database and its migrations to the application."""
    db.init_app(app)
    migrate.init_app(app, db)
