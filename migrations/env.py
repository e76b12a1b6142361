"""Runs the migrations as the owner, and lets the service's role in afterwards."""

from alembic import context
from flask import current_app
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from pipelabs.cli.actors import report_errors
from pipelabs.models import Base

LOCK = 7_310_442
"""Any number of our own: two releases that start together take turns."""


def migrate() -> None:
    """Bring the database to the target revision in one transaction, then grant."""
    engine = create_engine(current_app.config["DATABASE_MIGRATION_URL"], poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=False,
            **{
                key: value
                for key, value in current_app.extensions["migrate"].configure_args.items()
                if key != "render_as_batch"
            },
        )
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            context.run_migrations()
            grant(connection)


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
