"""Which client markets were active when their market was delisted.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade():
    # A constant default rewrites no row.
    was_active = sa.Column("was_active", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("client_markets", was_active)


def downgrade():
    op.drop_column("client_markets", "was_active")
