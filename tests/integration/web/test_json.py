import io
import json

import pytest
from flask import request
from gunicorn.http.errors import InvalidChunkSize

from pipelabs.core.errors import InvalidInput
from pipelabs.models import Client
from pipelabs.web.json import load
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

MALFORMED = "The body is not well-formed JSON."
NOT_AN_OBJECT = "The body must be one JSON object."
DUPLICATE_KEY = "Duplicate key in the JSON body."
TOO_DEEP = "The body is nested deeper than 32 levels."


@each(
    ("body", "message"),
    [
        ('{"name": "secret-42", oops}', MALFORMED),
        ('{"name": "a", "name": "b"}', DUPLICATE_KEY),
        (b"\xef\xbb\xbf" + json.dumps(make_body()).encode(), MALFORMED),
        (json.dumps([make_body()]), NOT_AN_OBJECT),
        pytest.param("[" * 100_000, TOO_DEEP, id="100,000 levels"),
    ],
)
def test_invalid_json_gets_an_error_envelope_and_stores_nothing(
    client, operator, rows, body, message
):
    response = client.post(
        QUICK_CLIENT, data=body, content_type="application/json", headers=operator
    )

    assert response.status_code == 400
    assert response.json == {
        "success": False,
        "message": message,
        "request_id": response.headers["X-Request-ID"],
        "error": {"code": "invalid_json", "fields": {}},
    }
    assert rows(Client) == []


class Broken(io.RawIOBase):
    """A chunked body with malformed chunks, as gunicorn reports it."""

    def __init__(self, error):
        self.error = error

    def readable(self):
        return True

    def readinto(self, buffer):
        raise self.error


def test_load_rejects_a_malformed_chunked_body(app):
    environment = {
        "wsgi.input": Broken(InvalidChunkSize(b"zz")),
        "wsgi.input_terminated": True,
        "CONTENT_TYPE": "application/json",
    }

    with (
        app.test_request_context(method="POST", environ_overrides=environment),
        pytest.raises(InvalidInput, match="Malformed request body"),
    ):
        load(request)
