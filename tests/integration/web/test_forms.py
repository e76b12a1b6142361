import pytest

from pipelabs.clients.schemas import ClientIn
from pipelabs.core.errors import InvalidInput
from pipelabs.web import forms


def test_query_rejects_a_repeated_parameter(app):
    with app.test_request_context("/?name=a&name=b"), pytest.raises(InvalidInput) as raised:
        forms.query(ClientIn)

    assert raised.value.fields == {"name": ["Must be given only once."]}


def test_submitted_form_rejects_a_repeated_field(app):
    with (
        app.test_request_context("/", method="POST", data={"name": ["a", "b"]}),
        pytest.raises(InvalidInput) as raised,
    ):
        forms.submitted_form(ClientIn, "admin/clients/new.html")

    assert raised.value.fields == {"name": ["Must be given only once."]}
