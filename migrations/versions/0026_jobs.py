"""The queue of background jobs: the tables, types and functions of Procrastinate.

Revision ID: 0026
Revises: 0025
"""

from pathlib import Path

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

SCHEMA = Path(__file__).parents[1] / "sql" / "procrastinate_3_10.sql"
DROP = """
DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs,
    procrastinate_workers CASCADE;
DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOR signature IN
        SELECT oid FROM pg_proc
        WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', signature);
    END LOOP;
END;
$$;
DROP TYPE procrastinate_job_to_defer_v1, procrastinate_job_event_type, procrastinate_job_status;
"""


def upgrade():
    run(SCHEMA.read_text(encoding="utf-8"))


def downgrade():
    run(DROP)


def run(statements):
    """Run them as they are: a colon or a percent sign in them marks no parameter."""
    op.get_bind().exec_driver_sql(statements.replace("%", "%%"))
