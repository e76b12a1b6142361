"""What a database has, as a manifest records it and a restore is compared with it."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from pipelabs.backup.errors import BackupError
from pipelabs.vault import rotation

TABLES = text("""
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
ORDER BY relname
""")
NEWEST = text("SELECT id, encode(mac, 'hex') AS mac FROM audit_events ORDER BY id DESC LIMIT 1")
AUDIT_KEYS = text("SELECT DISTINCT mac_key FROM audit_events ORDER BY mac_key")
OBJECTS = text("""
SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND nspname <> 'information_schema'
    AND nspname NOT LIKE 'pg\\_%'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
""")
SERVER = text("SELECT current_setting('server_version')")


class AuditRow(NamedTuple):
    """The newest row of the audit trail."""

    id: int | None
    mac: str | None


def find_revision(connection: Connection) -> str:
    """Return the migration of the database. Raise `BackupError` if it has none."""
    if "alembic_version" not in list_tables(connection):
        raise BackupError("The database has no tables of Pipe Labs. Check its address.")
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def list_tables(connection: Connection) -> list[str]:
    """Return the names of all tables, in order."""
    return list(connection.scalars(TABLES))


def count_rows(connection: Connection) -> dict[str, int]:
    """Return the number of rows by table."""
    quote = connection.dialect.identifier_preparer.quote
    return {
        name: connection.scalar(text(f"SELECT count(*) FROM {quote(name)}")) or 0  # noqa: S608 - quoted
        for name in list_tables(connection)
    }


def find_newest_audit_row(connection: Connection) -> AuditRow:
    """Return id and MAC of the newest audit row, each None if there is none."""
    row = connection.execute(NEWEST).one_or_none()
    return AuditRow(row.id, row.mac) if row else AuditRow(None, None)


def collect(connection: Connection) -> dict[str, Any]:
    """Return what the manifest has about the database, as the connection's transaction sees it."""
    revision = find_revision(connection)
    newest = find_newest_audit_row(connection)
    versions = connection.execute(rotation.select_rows_per_version())
    return {
        "revision": revision,
        "server": str(connection.scalar(SERVER)),
        "rows": count_rows(connection),
        "audit_id": newest.id,
        "audit_mac": newest.mac,
        "key_ring_versions": [int(version) for version, _ in versions],
        "audit_keys": list(connection.scalars(AUDIT_KEYS)),
    }


def is_empty(connection: Connection) -> bool:
    """Return whether the database has no tables, views or sequences, besides an extension's."""
    return not connection.scalar(OBJECTS)
