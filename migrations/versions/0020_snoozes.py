"""Alerts of the Desk page that are snoozed.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "snoozes",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("snoozed_by_id", sa.Uuid(), nullable=False),
        sa.Column("snoozed_by", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "char_length(subject) BETWEEN 1 AND 320", name=op.f("ck_snoozes_subject_length")
        ),
        sa.ForeignKeyConstraint(
            ["snoozed_by_id"], ["admins.id"], name=op.f("fk_snoozes_snoozed_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snoozes")),
        sa.UniqueConstraint("kind", "subject", name="uq_snoozes_subject"),
    )
    op.create_index(op.f("ix_snoozes_snoozed_by_id"), "snoozes", ["snoozed_by_id"])


def downgrade():
    op.drop_table("snoozes")
