import re

import pytest

from pipelabs.web import assets
from tests.each import each

SCRIPT = "js/api_docs.js"


@pytest.fixture
def get(client):
    """Return a function that downloads a file and closes it."""
    return lambda path, **options: client.get(path, buffered=True, **options)


@pytest.fixture
def asset_url(app):
    with app.test_request_context():
        return assets.asset(SCRIPT)


def test_asset_url_with_fingerprint_is_cached_for_a_year(get, asset_url):
    response = get(asset_url)

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.mimetype == "text/javascript"
    assert "Cookie" not in response.vary


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789abcdef"])
def test_asset_url_without_valid_fingerprint_is_revalidated(get, query):
    response = get(f"/static/{SCRIPT}{query}")

    assert response.headers["Cache-Control"] == "no-cache"


def test_asset_that_is_unchanged_returns_304(get, asset_url):
    etag = get(asset_url).headers["ETag"]

    response = get(asset_url, headers={"If-None-Match": etag})

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
def test_static_paths_outside_the_folder_are_not_found(client, path):
    response = client.get(path)

    assert response.status_code in {400, 404}
    assert response.json["success"] is False
    assert response.headers["Cache-Control"] == "no-store"


@each("method", ["POST", "PUT", "DELETE"])
@each("name", [SCRIPT, "nothing.js", "../config.py", "%00"])
def test_static_files_allow_only_get(client, method, name):
    response = client.open(f"/static/{name}", method=method)

    assert response.status_code == 405


def test_static_files_need_no_sign_in_and_spend_no_budget(get, operator, asset_url):
    response = get(asset_url, headers={"Authorization": "Bearer nonsense"})

    assert response.status_code == 200
    assert not [name for name, _ in response.headers if "RateLimit" in name]


def test_asset_url_contains_a_hash(asset_url):
    assert re.fullmatch(rf"/static/{SCRIPT}\?v=[0-9a-f]{{16}}", asset_url)
