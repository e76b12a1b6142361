"""One-time passwords work once, for three days.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade():
    until = sa.Column("one_time_password_until", sa.DateTime(timezone=True))
    op.add_column("admins", until)
    op.execute(
        "UPDATE admins SET one_time_password_until = now() + interval '72 hours'"
        " WHERE must_change_password"
    )


def downgrade():
    op.drop_column("admins", "one_time_password_until")
