"""What the overview counts and the filters of the audit trail, answered from indexes."""

from alembic import op
from sqlalchemy import literal_column, text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "audit_events"
# A count of last week reads the index alone once its pages are known to be visible to all; by the
# default, a table that only grows is looked at after every fifth of it.
VACUUM_OFTEN = """
ALTER TABLE audit_events SET (
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000
)
"""
VACUUM_AS_USUAL = """
ALTER TABLE audit_events RESET (
    autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold
)
"""


def upgrade() -> None:
    op.drop_index("ix_audit_events_admin_id_id", table_name=TABLE)
    op.create_index("ix_audit_events_at_id", TABLE, ["at", "id"])
    op.create_index(
        "ix_audit_events_admin_id_at_id",
        TABLE,
        ["admin_id", "at", "id"],
        postgresql_include=["event"],
    )
    op.create_index(
        "ix_audit_events_event_at_id",
        TABLE,
        ["event", "at", "id"],
        postgresql_include=["status", "ms"],
    )
    op.create_index("ix_audit_events_address_at_id", TABLE, ["address", "at", "id"])
    op.create_index(
        "ix_audit_events_status_at_id",
        TABLE,
        ["status", "at", "id"],
        postgresql_where=text("status <> 'SUCCESS'"),
    )
    op.create_index(
        "ix_audit_events_actor_at_id",
        TABLE,
        ["actor", "at", "id"],
        postgresql_where=text("admin_id IS NULL AND actor IS NOT NULL"),
    )
    op.create_index("ix_clients_status_tier", "clients", ["status", "tier"])
    op.execute(VACUUM_OFTEN)


def downgrade() -> None:
    op.execute(VACUUM_AS_USUAL)
    op.drop_index("ix_clients_status_tier", table_name="clients")
    for name in ("actor", "status", "address", "event", "admin_id"):
        op.drop_index(f"ix_audit_events_{name}_at_id", table_name=TABLE)
    op.drop_index("ix_audit_events_at_id", table_name=TABLE)
    op.create_index("ix_audit_events_admin_id_id", TABLE, ["admin_id", literal_column("id DESC")])
