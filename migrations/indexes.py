"""Create and drop indexes of full tables, while the service reads and writes them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from alembic import op


def create_index(name: str, table: str, columns: Sequence[Any], **options: Any) -> None:
    """Create an index concurrently. One that an interruption left invalid is replaced."""
    with _without_transaction():
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.create_index(name, table, columns, postgresql_concurrently=True, **options)


def drop_index(name: str, table: str) -> None:
    """Drop an index concurrently, if it exists."""
    with _without_transaction():
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)


@contextmanager
def _without_transaction() -> Iterator[None]:
    """Commit what the migration has done so far, and wait for locks without a time-out.

    A concurrent statement waits for transactions that began before it, but none waits for it.
    """
    with op.get_context().autocommit_block():
        before = op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar_one()
        op.execute("SET lock_timeout = 0")
        yield
        op.execute(f"SET lock_timeout = '{before}'")
