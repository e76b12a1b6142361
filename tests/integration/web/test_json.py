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
TWICE = "The body names a member twice."
TOO_DEEP = "The body is nested deeper than 32."


@each(
    ("body", "told"),
    [
        ('{"name": "secret-42", oops}', MALFORMED),
        ('{"name": "a", "name": "b"}', TWICE),
        (b"\xef\xbb\xbf" + json.dumps(make_body()).encode(), MALFORMED),
        (json.dumps([make_body()]), NOT_AN_OBJECT),
        pytest.param("[" * 100_000, TOO_DEEP, id="100,000 levels"),
    ],
)
def test_the_caller_is_told_in_the_envelope_and_nothing_is_stored(
    client, operator, rows, body, told
):
    response = client.post(
        QUICK_CLIENT, data=body, content_type="application/json", headers=operator
    )

    assert response.status_code == 400
    assert response.json == {
        "success": False,
        "message": told,
        "request_id": response.headers["X-Request-ID"],
        "error": {"code": "invalid_json", "fields": {}},
    }
    assert rows(Client) == []


class Broken(io.RawIOBase):
    """A chunked body whose framing gunicorn cannot read."""

    def __init__(self, error):
        self.error = error

    def readable(self):
        return True

    def readinto(self, buffer):
        raise self.error


def test_a_body_that_is_badly_framed_is_refused(app):
    sent = {
        "wsgi.input": Broken(InvalidChunkSize(b"zz")),
        "wsgi.input_terminated": True,
        "CONTENT_TYPE": "application/json",
    }

    with (
        app.test_request_context(method="POST", environ_overrides=sent),
        pytest.raises(InvalidInput, match="not well framed"),
    ):
        load(request)
