import pytest

from pipelabs.clients.schemas import ClientIn
from pipelabs.core.errors import InvalidInput
from pipelabs.web import forms


def test_a_parameter_that_is_sent_twice_is_refused(app):
    with app.test_request_context("/?name=a&name=b"), pytest.raises(InvalidInput) as refused:
        forms.query(ClientIn)

    assert refused.value.fields == {"name": ["Must be given only once."]}


def test_a_field_of_a_form_that_is_sent_twice_is_refused(app):
    with (
        app.test_request_context("/", method="POST", data={"name": ["a", "b"]}),
        pytest.raises(InvalidInput) as refused,
    ):
        forms.submitted_form(ClientIn, "admin/clients/new.html")

    assert refused.value.fields == {"name": ["Must be given only once."]}
