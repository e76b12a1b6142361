"""Clients whose onboarding was ended although a step was open.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "onboarding_ends",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["clients.id"], name=op.f("fk_onboarding_ends_client_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_onboarding_ends")),
        sa.UniqueConstraint("client_id", name=op.f("uq_onboarding_ends_client_id")),
    )


def downgrade():
    op.drop_table("onboarding_ends")
