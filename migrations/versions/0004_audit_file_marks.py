"""Up to where an instance's audit file is known to be whole."""

import sqlalchemy as sa
from alembic import op

from pipelabs.models.audit import XID8

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_file_marks",
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("xid", XID8(), nullable=False),
        sa.Column("marked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_audit_file_marks")),
    )
    op.create_index("ix_audit_events_xid", "audit_events", ["xid"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_audit_events_xid", table_name="audit_events")
    op.drop_table("audit_file_marks")
