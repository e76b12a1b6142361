"""Check the server: that it can be written, its clock, its free connections, its letters."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import BigInteger, Boolean, column, text
from sqlalchemy.exc import DBAPIError

from pipelabs.core.db import MIGRATIONS, db
from pipelabs.core.replica import ERRORS, REPLAYED, find_replica, read_position
from pipelabs.core.settings import setting
from pipelabs.doctor.findings import Finding, count, fail, warn

MIN_VERSION = 15
EXTENSION = "pg_trgm"
MAX_SKEW_S = 10
"""The leeway of tokens. A greater difference between two hosts rejects valid ones."""
NOTABLE_SKEW_S = 2
SPARE_CONNECTIONS = 10
PAUSE_S = 0.1
REPLICA = text(REPLAYED).columns(column("is_replica", Boolean), column("replayed", BigInteger))
SERVER = text(
    "SELECT current_setting('server_version_num')::int / 10000 AS version,"
    " current_setting('transaction_read_only') AS is_read_only,"
    " current_setting('server_encoding') AS encoding"
)
REVISION = text("SELECT version_num FROM alembic_version")
HAS_REVISION = text("SELECT to_regclass('alembic_version') IS NOT NULL")
CHARACTERS = text("SELECT datctype FROM pg_database WHERE datname = current_database()")
HAS_EXTENSION = text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = :name)")
TRIGGER = text(
    "SELECT tgenabled FROM pg_trigger"
    " WHERE tgrelid = 'audit_events'::regclass AND tgname = 'audit_events_append_only'"
)
CAN_REWRITE = text(
    "SELECT has_table_privilege(:role, 'audit_events', 'UPDATE, DELETE, TRUNCATE')"
    " OR pg_has_role(:role, relowner, 'USAGE') FROM pg_class WHERE oid = 'audit_events'::regclass"
)
CONNECTIONS = text("""
SELECT greatest(0, least(
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int
        - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    (SELECT nullif(datconnlimit, -1) - (SELECT count(*) FROM pg_stat_activity AS a
        WHERE a.datname = d.datname) FROM pg_database AS d WHERE datname = current_database()),
    (SELECT nullif(rolconnlimit, -1) - (SELECT count(*) FROM pg_stat_activity AS a
        WHERE a.usename = r.rolname) FROM pg_roles AS r WHERE rolname = current_user)
)) AS free,
(SELECT count(*) FROM pg_stat_activity
    WHERE usename = current_user AND datname = current_database()) AS own
""")
"""Connections that can still be opened by the server's, the database's and the role's limit, and
those that the service has. `reserved_connections` is new in PostgreSQL 16."""


def check_server() -> Iterator[Finding]:
    """Find a server that can't be reached, can't be written or is too old."""
    try:
        server = db.session.execute(SERVER).one()
    except DBAPIError as error:
        reason, *_ = str(error.orig).strip().splitlines()
        yield fail(f"PostgreSQL can't be reached: {reason}. Start it, or correct DATABASE_URL.")
        return
    if server.is_read_only == "on":
        yield fail("PostgreSQL is read-only. Let DATABASE_URL lead to the primary.")
    if server.version < MIN_VERSION:
        yield fail(f"PostgreSQL {server.version} is too old. Upgrade to {MIN_VERSION} or later.")
    if server.encoding != "UTF8":
        yield fail(
            f"The database has the encoding {server.encoding}. Move it to one with the encoding"
            " UTF8: flask ops backup and verify-restore."
        )


def check_migrations() -> Iterator[Finding]:
    """Find migrations of this release that are missing, and those of another one."""
    script = ScriptDirectory(MIGRATIONS)
    revision = db.session.scalar(REVISION) if db.session.scalar(HAS_REVISION) else None
    try:
        missing = [one.revision for one in script.iterate_revisions("head", revision or "base")]
    except RevisionError:
        yield fail(
            f"The database has migration {revision}, which this release does not know. Run the"
            " doctor of the release that migrated it."
        )
        return
    if missing:
        were = "is" if len(missing) == 1 else "are"
        yield fail(f"{count(len(missing), 'migration')} {were} pending. Run flask db upgrade.")


def check_extension() -> Iterator[Finding]:
    """Find a database without the extension that searches need."""
    if not db.session.scalar(HAS_EXTENSION, {"name": EXTENSION}):
        yield fail(
            f"The extension {EXTENSION} is missing, and with it the indexes of searches. As the"
            f" database's owner run: CREATE EXTENSION {EXTENSION}"
        )


def check_locale() -> Iterator[Finding]:
    """Find a database that knows no letters beyond ASCII."""
    if db.session.scalar(CHARACTERS) in {"C", "POSIX"}:
        yield warn(
            "The database has LC_CTYPE C, so a search for a word such as москва reads all clients."
            " Move it to a database with LC_CTYPE C.UTF-8: flask ops backup and verify-restore."
        )


def check_audit_protection() -> Iterator[Finding]:
    """Find an audit trail that could be rewritten."""
    enabled = db.session.scalar(TRIGGER)
    if enabled is None:
        yield fail(
            "The trigger audit_events_append_only is missing, so audit rows can be changed. Create"
            " it again, as migration 0001 does."
        )
    elif enabled not in {"O", "A"}:
        yield fail(
            "The trigger audit_events_append_only is disabled, so audit rows can be changed. As the"
            " owner run: ALTER TABLE audit_events ENABLE TRIGGER audit_events_append_only"
        )
    role = db.session.scalar(text("SELECT current_user"))
    if db.session.scalar(CAN_REWRITE, {"role": role}):
        yield warn(
            "The service's role may rewrite the audit trail, or owns it. Give DATABASE_URL a role"
            " of its own and run flask db upgrade, which grants it what it needs."
        )


def check_connections() -> Iterator[Finding]:
    """Find a server that has too few connections for this instance's pools."""
    pool = setting("SQLALCHEMY_ENGINE_OPTIONS")
    wanted = setting("WORKERS") * (pool["pool_size"] + pool["max_overflow"]) + SPARE_CONNECTIONS
    row = db.session.execute(CONNECTIONS).one()
    # What the service has open already is part of what it wants.
    if row.free + row.own < wanted:
        yield warn(
            f"PostgreSQL has {count(row.free, 'free connection')} and the service {row.own} open,"
            f" but one instance can use {wanted - SPARE_CONNECTIONS}, with {SPARE_CONNECTIONS} to"
            " spare. Raise max_connections, or lower WEB_CONCURRENCY or DB_POOL_SIZE."
        )


def check_replica() -> Iterator[Finding]:
    """Find a replica that is away, was promoted, or does not replay in time what was written."""
    replica = find_replica()
    if replica is None:
        return
    needed, deadline = read_position(), time.monotonic() + replica.max_lag_s
    try:
        with replica.engine.connect() as connection:
            state = connection.execute(REPLICA).one()
            while state.is_replica and state.replayed < needed and time.monotonic() < deadline:
                time.sleep(PAUSE_S)
                state = connection.execute(REPLICA).one()
    except ERRORS:
        yield warn("The replica does not answer, so reads go to the primary. Start it.")
        return
    if not state.is_replica:
        yield fail(
            "The replica was promoted: there are two primaries. Let DATABASE_URL lead to the one"
            " that counts, and remove DATABASE_REPLICA_URL or make a new replica."
        )
    elif state.replayed < needed:
        yield warn(
            f"The replica is more than {count(int(replica.max_lag_s), 'second')} behind, so reads"
            " go to the primary. Look for what stops it, or raise REPLICA_MAX_LAG_S."
        )


def check_clock() -> Iterator[Finding]:
    """Find a difference between the clocks of this host and of PostgreSQL."""
    begun = time.monotonic()
    theirs = db.session.scalar(text("SELECT clock_timestamp()"))
    half = timedelta(seconds=(time.monotonic() - begun) / 2)
    # What the question itself took is not counted.
    difference = abs(datetime.now(UTC) - half - theirs) - half
    seconds = difference.total_seconds()
    if seconds > NOTABLE_SKEW_S:
        report = fail if seconds > MAX_SKEW_S else warn
        yield report(
            f"The clocks of this host and of PostgreSQL differ by {seconds:,.0f} seconds."
            " Synchronise both with NTP."
        )
