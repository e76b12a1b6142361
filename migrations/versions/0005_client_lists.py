"""Indexes for reading and searching lists of clients."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEARCHED = "lower((((name || '\n') || wallet_address) || '\n') || COALESCE(email, ''))"


def upgrade() -> None:
    # A trusted extension: the owner of a database may add it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_index("ix_clients_created_at_id", "clients", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_clients_folded_name_id",
        "clients",
        [sa.literal_column("lower(name)"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_clients_searched",
        "clients",
        [sa.literal_column(SEARCHED).label("searched")],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"searched": "gin_trgm_ops"},
    )
    op.create_index("ix_clients_updated_at_id", "clients", ["updated_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_clients_updated_at_id", table_name="clients")
    op.drop_index("ix_clients_searched", table_name="clients")
    op.drop_index("ix_clients_folded_name_id", table_name="clients")
    op.drop_index("ix_clients_created_at_id", table_name="clients")
    op.execute("DROP EXTENSION pg_trgm")
