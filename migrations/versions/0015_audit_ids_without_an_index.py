"""Audit ids without an index: they are random, nothing looks them up, and each row wrote a page.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

from migrations.indexes import create_index

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

NAME, TABLE = "uq_audit_events_uid", "audit_events"


def upgrade():
    op.drop_constraint(NAME, TABLE)


def downgrade():
    create_index(NAME, TABLE, ["uid"], unique=True)
    op.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT {NAME} UNIQUE USING INDEX {NAME}")
