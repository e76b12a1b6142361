"""Versions of admins, so that a change based on a stale one is rejected.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade():
    # The default is for instances of the earlier release, which insert no version.
    op.add_column("admins", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.create_check_constraint(op.f("ck_admins_version_positive"), "admins", "version >= 1")


def downgrade():
    op.drop_column("admins", "version")
