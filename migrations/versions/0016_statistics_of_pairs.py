"""Statistics of pairs of audit filters. Without them rare pairs are taken for common ones.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

PAIRS = (
    ("event", "status"),
    ("admin_id", "event"),
    ("admin_id", "status"),
    ("address", "event"),
    ("address", "status"),
)


def upgrade():
    for pair in PAIRS:
        op.execute(f"CREATE STATISTICS {name(pair)} (mcv) ON {', '.join(pair)} FROM audit_events")
    op.execute("ANALYZE audit_events")


def downgrade():
    for pair in PAIRS:
        op.execute(f"DROP STATISTICS {name(pair)}")


def name(pair):
    return f"st_audit_events_{'_'.join(pair)}"
