"""Indexes of audit events by subject and by exchange, which are facts in `details`.

Revision ID: 0021
Revises: 0020
"""

from sqlalchemy import literal_column, text

from migrations.indexes import create_index, drop_index

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLE = "audit_events"
SUBJECT = literal_column("(details ->> 'subject')")
EXCHANGE = literal_column("(details ->> 'exchange')")
HAS_EXCHANGE = text("(details ->> 'exchange') IS NOT NULL")


def upgrade():
    create_index("ix_audit_events_subject_at_id", TABLE, [SUBJECT, "at", "id"])
    create_index(
        "ix_audit_events_exchange_at_id",
        TABLE,
        [EXCHANGE, "at", "id"],
        postgresql_where=HAS_EXCHANGE,
    )


def downgrade():
    drop_index("ix_audit_events_exchange_at_id", TABLE)
    drop_index("ix_audit_events_subject_at_id", TABLE)
