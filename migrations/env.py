"""Runs the migrations as the owner, and lets the service's role in afterwards."""

import logging
import time

from alembic import context
from flask import current_app
from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from pipelabs.cli.actors import report_errors
from pipelabs.models import Base

logger = logging.getLogger("alembic.env")
LOCK = 7_310_442
"""Any number of our own: two releases that start together take turns."""
LOCK_TIMEOUT = "3s"
"""A migration that waits for a table makes everyone wait who comes after it."""
LOCK_NOT_AVAILABLE = "55P03"
PAUSE_S = 1
TRIES = 60
"""With the time-out, four minutes: longer than any statement of the service may take."""


def migrate() -> None:
    """Bring the database to the target revision, then grant.

    Each revision commits by itself. One that doesn't get a lock in time is tried again.
    """
    engine = create_engine(current_app.config["DATABASE_MIGRATION_URL"], poolclass=NullPool)
    with engine.connect() as connection:
        wait_for_turn(connection)
        for number in range(1, TRIES + 1):
            try:
                run(connection)
                return
            except OperationalError as error:
                connection.rollback()
                is_locked = getattr(error.orig, "pgcode", None) == LOCK_NOT_AVAILABLE
                if not is_locked or number == TRIES:
                    raise
                logger.warning("a table is in use: trying again (%s of %s)", number, TRIES)
                time.sleep(PAUSE_S)


def wait_for_turn(connection: Connection) -> None:
    """Take the lock of this session. Asking again and again holds no snapshot.

    An index that is built concurrently would wait for a session that waits with one.
    """
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
        connection.commit()
        time.sleep(PAUSE_S)
    connection.commit()


def run(connection: Connection) -> None:
    """Run what is missing, a transaction for each revision."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=False,
        transaction_per_migration=True,
        **{
            key: value
            for key, value in current_app.extensions["migrate"].configure_args.items()
            if key != "render_as_batch"
        },
    )
    with context.begin_transaction():
        context.run_migrations()
    grant(connection)
    connection.commit()


def grant(connection: Connection) -> None:
    """Let the role of DATABASE_URL work on every table, but never change an audit row.

    Nothing to do where the service runs under the owner: then the trigger alone stands guard.
    """
    role = make_url(current_app.config["SQLALCHEMY_DATABASE_URI"]).username
    if role is None or role == connection.scalar(text("SELECT current_user")):
        return
    quoted = connection.dialect.identifier_preparer.quote(role)
    everything = f"ALL TABLES IN SCHEMA public TO {quoted}"
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {quoted}"))
    connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {everything}"))
    connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quoted}"))
    for table, verbs in (
        ("audit_events", "UPDATE, DELETE"),
        ("alembic_version", "INSERT, UPDATE, DELETE"),
    ):
        if connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}):
            connection.execute(text(f"REVOKE {verbs} ON {table} FROM {quoted}"))


if context.is_offline_mode():
    raise SystemExit("Migrations run against a database: they grant, and they take turns.")
with report_errors():
    migrate()
