import zlib

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest
from flask import Response, request

from pipelabs.web import assets
from pipelabs.web.auth import anonymous
from pipelabs.web.compression import MIN_BYTES, choose_encoding
from pipelabs.web.operation import begin, registry
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

CLIENTS = "/admin/clients"
OPENAPI = "/api/openapi.json"
DECODE = {"br": brotli.decompress, "gzip": lambda body: zlib.decompress(body, 31)}
BROWSER = "gzip, deflate, br, zstd"


@pytest.fixture
def stylesheet(app):
    with app.test_request_context():
        return assets.asset("css/components.css")


@pytest.fixture
def get(client):
    """Return a function that loads a path with an `Accept-Encoding`."""

    def load(path, accepted=None, method="GET", **fields):
        headers = fields.pop("headers", {}) | ({"Accept-Encoding": accepted} if accepted else {})
        return client.open(path, method=method, headers=headers, buffered=True, **fields)

    return load


def load_compressed(browser, path):
    headers = {"Accept-Encoding": BROWSER}
    return browser.client.get(path, headers=headers, base_url="https://localhost")


@each(
    ("accepted", "encoding"),
    [
        (None, None),
        (BROWSER, "br"),
        ("gzip", "gzip"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("GZIP", "gzip"),
        ("*", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0, gzip;q=0", None),
        ("deflate", None),
        ("identity", None),
        ("identity, gzip;q=0.1", None),
        ("gzip;q=x", None),
        (";", None),
        ("é", None),
    ],
)
@each("path", [OPENAPI, "/static/css/components.css"])
def test_response_is_compressed_as_the_caller_accepts(get, accepted, encoding, path):
    plain = get(path)

    response = get(path, accepted)

    assert response.status_code == 200
    assert response.headers.get("Content-Encoding") == encoding
    assert "Accept-Encoding" in response.headers["Vary"]
    assert response.content_length == len(response.data)
    assert DECODE.get(encoding, bytes)(response.data) == plain.data
    assert encoding is None or len(response.data) < len(plain.data) / 2


def test_page_is_compressed(desk):
    plain = desk.get(CLIENTS)
    response = load_compressed(desk, CLIENTS)

    assert response.headers["Content-Encoding"] == "br"
    assert {"Cookie", "Accept-Encoding"} <= set(response.headers["Vary"].split(", "))
    page = brotli.decompress(response.data).decode()
    assert page.partition("<main")[0].count("<") == plain.text.partition("<main")[0].count("<")


def test_error_page_is_compressed(desk):
    response = load_compressed(desk, "/admin/nothing")

    assert (response.status_code, response.headers["Content-Encoding"]) == (404, "br")


def test_short_response_is_sent_as_it_is(get):
    response = get("/health", BROWSER)

    assert len(response.data) < MIN_BYTES
    assert "Content-Encoding" not in response.headers
    assert "Accept-Encoding" in response.headers["Vary"]


@each("encoding", ["br", "gzip"])
def test_head_has_the_headers_of_get(get, encoding, stylesheet):
    for path in (OPENAPI, stylesheet):
        full, head = get(path, encoding), get(path, encoding, method="HEAD")

        assert head.data == b""
        for name in ("Content-Encoding", "Content-Length", "ETag", "Vary"):
            assert head.headers.get(name) == full.headers.get(name)


def test_compressed_file_has_a_weak_etag_which_revalidates_it_in_any_encoding(get, stylesheet):
    plain, compressed = get(stylesheet), get(stylesheet, BROWSER)
    strong, weak = plain.headers["ETag"], compressed.headers["ETag"]

    assert weak == f"W/{strong}"
    assert compressed.headers["Cache-Control"] == plain.headers["Cache-Control"]
    for known in (strong, weak):
        for accepted, sent in ((None, strong), (BROWSER, weak)):
            response = get(stylesheet, accepted, headers={"If-None-Match": known})

            assert (response.status_code, response.data) == (304, b"")
            assert "Content-Encoding" not in response.headers
            assert (response.headers["ETag"], response.headers["Vary"]) == (sent, "Accept-Encoding")


def test_part_of_a_file_is_a_part_of_the_uncompressed_file(get, stylesheet):
    plain = get(stylesheet)
    part = get(stylesheet, BROWSER, headers={"Range": "bytes=10-4009"})

    assert (part.status_code, part.data) == (206, plain.data[10:4010])
    assert "Content-Encoding" not in part.headers
    assert plain.headers["Accept-Ranges"] == "bytes"
    # A caller that adds a part to the beginning of a compressed file would get neither.
    assert "Accept-Ranges" not in get(stylesheet, BROWSER).headers


def test_weak_etag_of_a_compressed_answer_is_a_version(client, operator):
    body = make_body(notes="x" * 1_000, name="A " * 100)
    path = client.post(QUICK_CLIENT, json=body, headers=operator).headers["Location"]
    accepting = operator | {"Accept-Encoding": "gzip"}

    shown = client.get(path, headers=accepting)
    etag = shown.headers["ETag"]
    again = client.get(path, headers=accepting | {"If-None-Match": etag})
    changed = client.patch(path, json={"tier": "Basic"}, headers=accepting | {"If-Match": etag})
    stale = client.patch(path, json={"tier": "Premium"}, headers=accepting | {"If-Match": etag})

    assert (shown.headers["Content-Encoding"], etag) == ("gzip", 'W/"1"')
    assert (again.status_code, again.headers["ETag"]) == (304, etag)
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert stale.status_code == 412


def test_response_with_a_secret_is_never_compressed(app):
    known = registry(app)
    secret = {name for name, operation in known.items() if operation.has_secret}
    assert {"api.auth.login", "api.auth.refresh", "admin.secrets.show"} <= secret

    for name, operation in known.items():
        with app.test_request_context(headers={"Accept-Encoding": BROWSER}):
            begin(anonymous(request, "4711-4711", operation), operation)
            response = Response("x" * MIN_BYTES, mimetype="text/html")

            assert (choose_encoding(request, response) is None) == (name in secret), name
