"""A table of forms: one row of fields for each thing to create."""

from collections.abc import Iterator, Mapping, Sequence

from flask import request
from marshmallow import Schema

from pipelabs.core.errors import Fields, InvalidInput, PipeLabsError
from pipelabs.web.forms import Form


class FormGrid:
    """The rows of a grid. `sent` are the places of the rows that a service was given, in order."""

    has_secret = False

    def __init__(self, schema: type[Schema], rows: Sequence[Mapping[str, str]]) -> None:
        """`rows` are the values of each row by field name."""
        self.rows = [Form(schema, row) for row in rows]
        self.sent: Sequence[int] = range(len(rows))

    def __iter__(self) -> Iterator[Form]:
        """Yield the rows."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def set_row_errors(self, place: int, errors: Fields, existing: Mapping[str, str]) -> None:
        """Store what is wrong with a row, and the ids of what has its values."""
        self.rows[place].errors = errors
        self.rows[place].existing = existing

    def set_errors(self, error: PipeLabsError) -> None:
        """Store the messages of an error whose fields are like `clients.3.name`."""
        existing = getattr(error, "existing", {})
        for name, sentences in error.fields.items():
            _, place, field = name.split(".")
            row = self.rows[self.sent[int(place)]]
            row.errors = {**row.errors, field: sentences}
            if name in existing:
                row.existing = {**row.existing, field: existing[name]}


def submitted_rows(names: Sequence[str], limit: int) -> list[dict[str, str]]:
    """Return the rows of a submitted grid by field, without those that are empty.

    Each row sends all of its fields. Raise `InvalidInput` if one does not, or if they are more
    than `limit`.
    """
    columns = [request.form.getlist(name) for name in names]
    try:
        rows = [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
    except ValueError:
        raise InvalidInput("A row lacks a field. Load the page again.") from None
    filled = [row for row in rows if any(cell.strip() for cell in row.values())]
    if not 1 <= len(filled) <= limit:
        raise InvalidInput(f"There must be 1 to {limit} rows.")
    return filled
