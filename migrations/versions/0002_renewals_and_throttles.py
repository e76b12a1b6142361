"""Renewals of sessions, and how often signing in was tried."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sign_in_throttles",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("window_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_throttles")),
    )
    op.add_column("sessions", sa.Column("renewed_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE sessions SET renewed_at = created_at")
    op.alter_column("sessions", "renewed_at", nullable=False)


def downgrade() -> None:
    op.drop_column("sessions", "renewed_at")
    op.drop_table("sign_in_throttles")
