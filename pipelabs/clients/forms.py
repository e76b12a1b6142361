"""Forms about many clients."""

import re
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, post_load, validate

from pipelabs.clients.bulk import CHANGES
from pipelabs.core.schemas.fields import Input
from pipelabs.core.schemas.lists import LineList
from pipelabs.core.schemas.pagination import MAX_SIZE

NONE_SELECTED = "Select clients in the list first."
NO_CHANGE = "Choose what to change."
ROW = re.compile(r"([0-9a-f-]{36}):([1-9][0-9]{0,8})", re.ASCII)


CHANGE: dict[str, Any] = {
    "required": True,
    "validate": validate.OneOf(CHANGES, error=NO_CHANGE),
    "error_messages": {"required": NO_CHANGE},
}


class BulkForm(Input):
    """The clients that are selected in a list, what to change, and the list to go back to."""

    change = fields.String(**CHANGE)
    clients = LineList(
        fields.UUID(error_messages={"invalid_uuid": "This is not an id."}),
        min=1,
        max=MAX_SIZE,
        required=True,
        error_messages={"required": NONE_SELECTED},
    )
    back = fields.String(load_default="")


class ApplyForm(Input):
    """What the page of a bulk change showed: `<id>:<version>` of each client, and the change."""

    change = fields.String(**CHANGE)
    rows = LineList(fields.String(), min=1, max=MAX_SIZE, required=True)
    back = fields.String(load_default="")

    @post_load
    def _read_rows(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        matches = [ROW.fullmatch(row) for row in data["rows"]]
        try:
            versions = {UUID(match[1]): int(match[2]) for match in matches if match}
        except ValueError:
            versions = {}
        if len(versions) != len(data["rows"]):
            raise ValidationError("Load the page again.", "rows")
        return data | {"versions": versions}
