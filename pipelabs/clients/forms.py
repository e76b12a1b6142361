"""Forms about many clients."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, post_load, validate

from pipelabs.clients.bulk import CHANGES
from pipelabs.clients.pasted import PastedClients, read_clients
from pipelabs.core.pasted import PastedError
from pipelabs.core.schemas.fields import Input
from pipelabs.core.schemas.lists import LineList
from pipelabs.core.schemas.pagination import MAX_SIZE
from pipelabs.core.schemas.pasted import PastedText

NONE_SELECTED = "Select clients in the list first."
NO_CHANGE = "Choose what to change."
ROW = re.compile(r"([0-9a-f-]{36}):([1-9][0-9]{0,8})", re.ASCII)


CHANGE: dict[str, Any] = {
    "required": True,
    "validate": validate.OneOf(CHANGES, error=NO_CHANGE),
    "error_messages": {"required": NO_CHANGE},
}


class PastedClientsForm(Input):
    """Rows of a sheet, each of which becomes a client. Loads as `PastedClients`."""

    rows = PastedText(
        required=True,
        metadata={
            "label": "Rows",
            "description": "Copy them from a spreadsheet, or separate cells by commas. Columns are"
            " recognised by a first row with their names, or by what is in them: name, wallet"
            " address, email, tier and notes.",
            "widget": "paste",
        },
    )

    @post_load
    def _read(self, data: Mapping[str, Any], **_: Any) -> PastedClients:
        try:
            return read_clients(data["rows"])
        except PastedError as error:
            raise ValidationError(str(error), "rows") from None


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
