import re

import pytest

from pipelabs.web import assets
from tests.each import each

SCRIPT = "js/api_docs.js"


@pytest.fixture
def get(client):
    """Return a reader of files: read whole, so that each is closed."""
    return lambda path, **sent: client.get(path, buffered=True, **sent)


@pytest.fixture
def address(app):
    with app.test_request_context():
        return assets.asset(SCRIPT)


def test_an_address_that_names_its_file_is_kept_for_ever(get, address):
    response = get(address)

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.mimetype == "text/javascript"
    assert "Cookie" not in response.vary


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789abcdef"])
def test_any_other_address_is_asked_about_each_time(get, query):
    response = get(f"/static/{SCRIPT}{query}")

    assert response.headers["Cache-Control"] == "no-cache"


def test_a_file_that_has_not_changed_is_not_sent_again(get, address):
    etag = get(address).headers["ETag"]

    response = get(address, headers={"If-None-Match": etag})

    assert (response.status_code, response.data) == (304, b"")


@each(
    "path",
    [
        "/static",
        "/static/",
        "/static/nothing.js",
        "/static/js",
        "/static/vendor/",
        "/static/../config.py",
        "/static/../__init__.py",
        "/static/js/../../templates/api/docs.html",
        "/static/%2e%2e%2fconfig.py",
        "/static/%2e%2e/%2e%2e/config.py",
        "/static/..%5cconfig.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/%00",
        "/static/js/api_docs.js%00.css",
        "/static/%ff",
        f"/static/{'a' * 5_000}",
    ],
)
def test_what_is_no_file_of_ours_is_not_there(client, path):
    response = client.get(path)

    assert response.status_code in {400, 404}
    assert response.json["success"] is False
    assert response.headers["Cache-Control"] == "no-store"


@each("method", ["POST", "PUT", "DELETE"])
@each("name", [SCRIPT, "nothing.js", "../config.py", "%00"])
def test_files_are_only_read(client, method, name):
    response = client.open(f"/static/{name}", method=method)

    assert response.status_code == 405


def test_nobody_has_to_sign_in_for_a_file_and_it_costs_nothing(get, operator, address):
    response = get(address, headers={"Authorization": "Bearer nonsense"})

    assert response.status_code == 200
    assert not [name for name, _ in response.headers if "RateLimit" in name]


def test_a_fingerprint_is_of_the_file(address):
    assert re.fullmatch(rf"/static/{SCRIPT}\?v=[0-9a-f]{{16}}", address)
