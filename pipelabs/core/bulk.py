"""Bulk inserts and updates through `unnest()`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import TableValuedAlias, bindparam, cast, column, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine


def unnest_table(name: str, columns: Mapping[str, TypeEngine[Any]]) -> TableValuedAlias:
    """Return a table of that name whose columns are bound to one array each.

    One statement and one query plan serve any number of rows. The casts are needed because
    PostgreSQL cannot infer the type of an empty array.
    """
    arrays = (
        cast(bindparam(column_name, type_=ARRAY(kind)), ARRAY(kind))
        for column_name, kind in columns.items()
    )
    names = (column(column_name, kind) for column_name, kind in columns.items())
    return func.unnest(*arrays).table_valued(*names, name=name).render_derived()


def column_arrays(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Return the rows as one array for each column name, as `unnest_table` binds them."""
    arrays: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows:
        for name, value in zip(names, row, strict=True):
            arrays[name].append(value)
    return arrays
