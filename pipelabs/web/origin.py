"""The list that a page was opened from: its search, filters and order, in one parameter.

`list=tier%3DPremium%26sort%3Dname` is the query string of the list within that of the page. So
every browser tab has its own, and a link can be shared. The schema of the list checks it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import request
from marshmallow import Schema, ValidationError

from pipelabs.core.errors import InvalidInput
from pipelabs.web import query

PARAMETER = "list"
OF_A_PAGE = frozenset({"cursor", "size"})
"""Parameters of a list that say nothing about which rows it has."""
UNREADABLE = "This list can't be read. Open the page from the list again."


class Origin(NamedTuple):
    """A list: its parameters as they are sent, and as its schema loads them."""

    parameters: Mapping[str, str]
    loaded: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Return the value of the parameter."""
        return urlencode(self.parameters)


def write_origin(schema: type[Schema], parameters: Mapping[str, str]) -> str:
    """Return the value of the parameter for links of a list that has these parameters.

    Those that say where the page is in the list are left out.
    """
    names = schema().fields.keys() - OF_A_PAGE
    return urlencode({name: text for name, text in parameters.items() if text and name in names})


def read_origin(schema: type[Schema]) -> Origin | None:
    """Return the list that the page was opened from, or None if the URL names none.

    Raise `InvalidInput` for one that `schema` does not load.
    """
    text = request.args.get(PARAMETER)
    if not text:
        return None
    try:
        parameters = {name: value for name, value in query.parse(text).items() if value}
        return Origin(parameters, schema(exclude=OF_A_PAGE).load(parameters))
    except (InvalidInput, ValidationError):
        message = f"Invalid input: {PARAMETER}"
        raise InvalidInput(message, fields={PARAMETER: [UNREADABLE]}) from None
