"""Let the service take the id of an audit row from the sequence before it inserts the row.

It can then send the row together with the COMMIT, whose result could not return the id. The grant
is made after the migrations, as all grants are. This revision makes instances wait for it.

Revision ID: 0017
Revises: 0016
"""

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
