"""Forms about many rows of a list."""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from pipelabs.bulk.target import MAX_ROWS
from pipelabs.core.schemas.fields import Checkbox, Input
from pipelabs.core.schemas.lists import LineList

KEY = re.compile(r"[0-9a-z][0-9a-z_.-]{0,63}", re.ASCII)
ROW = re.compile(rf"({KEY.pattern}):([1-9][0-9]{{0,8}})", re.ASCII)
RELOAD = "Load the page again."


class PreviewForm(Input):
    """What to change: `act` is the pressed button, else `change` is what was chosen in the list.

    `rows` are the keys of the selected rows. With `every` all rows are meant that match the filters
    of the list.
    """

    act = fields.String(load_default="")
    change = fields.String(load_default="")
    value = fields.String(load_default="")
    every = Checkbox(load_default=False)
    rows = LineList(
        fields.String(validate=validate.Regexp(KEY, error="This is not an id.")),
        max=MAX_ROWS,
        load_default=list,
    )


class ApplyForm(Input):
    """What the page of a bulk change showed: `<key>:<version>` of each row, and the change."""

    change = fields.String(required=True)
    value = fields.String(load_default="")
    rows = LineList(fields.String(), min=1, max=MAX_ROWS, required=True)

    @post_load
    def _read_rows(self, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        matches = [ROW.fullmatch(row) for row in data["rows"]]
        versions = {match[1]: int(match[2]) for match in matches if match}
        if len(versions) != len(data["rows"]):
            raise ValidationError(RELOAD, "rows")
        return {**data, "versions": versions}
