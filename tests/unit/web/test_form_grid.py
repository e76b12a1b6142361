"""Rows of forms."""

from pipelabs.clients.schemas import ClientIn
from pipelabs.core.errors import Duplicate, InvalidInput
from pipelabs.web.form_grid import FormGrid


def test_grid_shows_each_error_in_the_row_that_was_sent():
    """`sent` names the places of the rows, because a service is given the right ones alone."""
    grid = FormGrid(ClientIn, [{"name": "Alder"}, {"name": "Birch"}, {"name": "Cedar"}])
    grid.sent = [0, 2]

    grid.set_errors(Duplicate("Taken", fields={"clients.1.email": ["Taken."]}, existing={}))
    grid.set_errors(InvalidInput("Wrong", fields={"clients.0.name": ["Too long."]}))

    assert [row.errors for row in grid] == [{"name": ["Too long."]}, {}, {"email": ["Taken."]}]
    assert [row.existing for row in grid] == [{}, {}, {}]


def test_grid_keeps_the_ids_of_existing_rows():
    """A page links to the client that has the value."""
    grid = FormGrid(ClientIn, [{"name": "Alder"}, {"name": "Birch"}])

    grid.set_errors(
        Duplicate(
            "Taken",
            fields={"clients.1.email": ["Taken."], "clients.1.wallet_address": ["Taken."]},
            existing={"clients.1.wallet_address": "b", "clients.1.email": "a"},
        )
    )

    assert [row.existing for row in grid] == [{}, {"email": "a", "wallet_address": "b"}]
