"""Approvals of quarantined keys and of new owners.

Revision ID: 0019
Revises: 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

NAME = "ck_approvals_approvalkind"
BEFORE = ("grant", "machine", "stop_lift")
ADDED = ("key_acceptance", "owner_role")


def upgrade():
    _allow(*BEFORE, *ADDED)


def downgrade():
    op.execute(f"DELETE FROM approvals WHERE kind IN {ADDED}")  # noqa: S608 - constants
    _allow(*BEFORE)


def _allow(*kinds):
    op.drop_constraint(op.f(NAME), "approvals")
    op.create_check_constraint(op.f(NAME), "approvals", f"kind IN {kinds}")
