"""Rows sent as arrays: one statement, one plan and one round trip, however many they are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import TableValuedAlias, bindparam, cast, column, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine


def unnest_table(name: str, columns: Mapping[str, TypeEngine[Any]]) -> TableValuedAlias:
    """Return a table of that name whose columns are bound to one array each.

    The casts are for PostgreSQL, which cannot tell the type of an array without values.
    """
    bound = (cast(bindparam(one, type_=ARRAY(kind)), ARRAY(kind)) for one, kind in columns.items())
    names = (column(one, kind) for one, kind in columns.items())
    return func.unnest(*bound).table_valued(*names, name=name).render_derived()


def column_arrays(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Return the values of such a table: rows turned into an array for each name."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows:
        for name, value in zip(names, row, strict=True):
            found[name].append(value)
    return found
