"""The form that takes clients as rows of a spreadsheet."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, post_load

from pipelabs.clients.pasted import PastedClients, read_clients
from pipelabs.core.pasted import PastedError
from pipelabs.core.schemas.fields import Input
from pipelabs.core.schemas.pasted import PastedText


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
