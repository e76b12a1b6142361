import io
import re

import pytest

from pipelabs.models import AuditEvent, Client
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

LOGIN, ME = "/api/auth/login", "/api/auth/me"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client_with_trusted_host(variant):
    """Return a test client of the service with one trusted host."""
    return variant(TRUSTED_HOSTS=["desk.example.com"]).test_client()


class Unread(io.RawIOBase):
    """A body that fails the test if it is read."""

    def readable(self):
        return True

    def readinto(self, buffer):
        raise AssertionError("the body was read")


def undeclared(body):
    """Return the options of a request that does not declare the length of its body."""
    return {
        "content_type": "application/json",
        "environ_overrides": {
            "CONTENT_LENGTH": "",
            "HTTP_TRANSFER_ENCODING": "chunked",
            "wsgi.input": body,
            "wsgi.input_terminated": True,
        },
    }


def error_of(response):
    """Check the envelope of an error and return its status and code."""
    assert response.mimetype == "application/json"
    assert list(response.json) == ["success", "message", "request_id", "error"]
    assert response.json["success"] is False
    assert response.json["message"]
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    assert isinstance(response.json["error"]["fields"], dict)
    return response.status_code, response.json["error"]["code"]


def test_request_id_is_eight_random_hex_digits(client):
    ids = [client.get("/health").headers["X-Request-ID"] for _ in range(3)]

    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{8}", request_id) for request_id in ids)


@pytest.mark.parametrize("request_id", ["abcdefgh", "A.b_c-7890", "f" * 64, "-" * 8, "........"])
def test_request_id_of_the_caller_is_used_everywhere(client, operator, rows, lines, request_id):
    headers = operator | {"X-Request-ID": request_id}

    response = client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert response.json["request_id"] == response.headers["X-Request-ID"] == request_id
    assert [row.request_id for row in rows(AuditEvent)] == [request_id]
    assert [line.split(" | ")[2] for line in lines()] == [request_id]


def test_log_records_have_the_request_id(client, caplog):
    client.get("/health", headers={"X-Request-ID": "is-in-the-log"})

    assert {record.request_id for record in caplog.records} == {"is-in-the-log"}


@pytest.mark.parametrize(
    "request_id",
    [
        "",
        "short-7",
        "x" * 65,
        "x" * 20_000,
        "with space",
        "a|b|c|d|e|f",
        "<script>x</script>",
        "../../../etc",
        "percent%0aline",
        "na\u00efve-name",
        "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668".encode().decode("latin-1"),
        "tab\tinside",
        "abcdefgh, ijklmnop",
    ],
    ids=range(13),
)
def test_request_id_that_is_malformed_is_replaced(client, operator, rows, request_id):
    headers = operator | {"X-Request-ID": request_id}

    response = client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert response.status_code == 201
    assert re.fullmatch("[0-9a-f]{8}", response.headers["X-Request-ID"])
    assert [row.request_id for row in rows(AuditEvent)] == [response.json["request_id"]]


@each(
    ("method", "path", "options", "error"),
    [
        ("GET", "/api/nothing", {}, (404, "not_found")),
        ("GET", "/api/admin/nothing", {}, (404, "not_found")),
        ("GET", "/api/admin/clients/7", {}, (404, "not_found")),
        ("GET", LOGIN, {}, (405, "method_not_allowed")),
        ("POST", LOGIN, {"data": "{"}, (415, "unsupported_media_type")),
        ("POST", LOGIN, {"data": "{", "headers": JSON}, (400, "invalid_json")),
        ("POST", LOGIN, {"data": b"x" * 300_000, "headers": JSON}, (413, "too_large")),
        ("POST", "/api/nothing", {"data": b"x" * 300_000}, (413, "too_large")),
    ],
)
def test_errors_are_json_with_the_request_id(client, operator, method, path, options, error):
    headers = operator | options.get("headers", {})

    response = client.open(path, method=method, **options | {"headers": headers})

    assert error_of(response) == error


def test_rate_limited_response_is_json_with_the_request_id(client, operator, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_GENERAL", "1/minute")
    client.get("/api/admin/nothing", headers=operator)

    response = client.get("/api/admin/nothing", headers=operator)

    assert error_of(response) == (429, "rate_limited")


def test_internal_error_response_does_not_leak_its_cause(client, operator, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "nonsense")

    response = client.get(ME, headers=operator)

    assert error_of(response) == (500, "internal")
    assert not re.search("nonsense|Traceback|ValueError|File|pipelabs", response.text)


@each("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"])
def test_quick_client_allows_only_post(client, operator, rows, method):
    response = client.open(QUICK_CLIENT, method=method, json=make_body(), headers=operator)

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert rows(Client) == []


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_method_override_headers_are_ignored(client, operator, rows, name):
    response = client.get(
        QUICK_CLIENT,
        json=make_body(),
        headers=operator | {name: "POST"},
        query_string="_method=POST",
    )

    assert response.status_code == 405
    assert rows(Client) == []


def test_body_declared_too_large_is_rejected_unread(client, rows):
    environment = {"CONTENT_LENGTH": str(300 * 1024), "wsgi.input": Unread()}

    response = client.post(QUICK_CLIENT, headers=JSON, environ_overrides=environment)

    assert error_of(response) == (413, "too_large")
    assert [row.http for row in rows(AuditEvent)] == [413]


def test_body_of_an_anonymous_caller_is_not_read(client, rows):
    response = client.post(QUICK_CLIENT, **undeclared(Unread()))

    assert error_of(response) == (401, "unauthenticated")
    assert [row.status for row in rows(AuditEvent)] == ["UNAUTHORIZED"]


def test_body_of_undeclared_length_is_read_up_to_the_limit(client, operator, rows):
    body = io.BytesIO(b'{"name": "' + b"x" * 300_000 + b'"}')

    response = client.post(QUICK_CLIENT, headers=operator, **undeclared(body))

    assert error_of(response) == (413, "too_large")
    assert body.tell() <= 2 * 256 * 1024
    assert [(row.status, row.http) for row in rows(AuditEvent)] == [("INVALID", 413)]


def test_body_as_large_as_the_limit_is_accepted(client, operator, app):
    limit = app.config["MAX_CONTENT_LENGTH"]
    body = b"{}".ljust(limit)

    accepted = client.post(QUICK_CLIENT, data=body, headers=operator | JSON)
    too_large = client.post(QUICK_CLIENT, data=body + b" ", headers=operator | JSON)

    assert (accepted.status_code, too_large.status_code) == (400, 413)


@each("encoding", ["gzip", "br", "deflate", "x"])
def test_body_with_a_content_encoding_is_rejected(client, encoding):
    response = client.post(LOGIN, json={}, headers={"Content-Encoding": encoding})

    assert error_of(response) == (415, "unsupported_media_type")


@each(
    "headers",
    [
        {"X-Long": "x" * 20_000},
        {f"X-Many-{number}": "x" for number in range(300)},
        {"Accept": "text/html", "Accept-Encoding": "\u00e9" * 100, "Accept-Language": "*" * 5_000},
        {"Content-Type": "application/json; charset=\u00e9; boundary=" + "x" * 5_000},
        {"Cookie": "a=" + "x" * 20_000},
        {"If-None-Match": '"' * 20_000, "Range": "bytes=0-0,-1", "If-Modified-Since": "never"},
        {"Content-Length": "-1"},
        {"Content-Length": "one"},
        {"Expect": "200-maybe", "TE": "trailers", "Max-Forwards": "-1"},
        {"Origin": "x" * 20_000},
    ],
)
def test_malformed_headers_are_ignored(client, operator, headers):
    response = client.get(ME, headers=operator | headers)

    assert response.status_code == 200


@each("method", ["GET", "POST"])
@each(
    "path",
    [
        "/config.py",
        "/.env",
        "/api/%00",
        "/api/%ff%fe",
        "/api/%ed%a0%80",
        "/api/\u202e",
        "/api/" + "x" * 10_000,
        "/api/a|b%0aSUCCESS",
    ],
)
def test_unknown_paths_are_404(client, method, path):
    response = client.open(path, method=method)

    is_static = path.startswith("/static/")
    assert response.status_code == (405 if is_static and method == "POST" else 404)


@each("path", [QUICK_CLIENT, "/api//admin/quick-client", "/api/auth//me"])
@each("method", ["GET", "POST"])
def test_responses_never_contain_the_host_header(client, operator, method, path):
    response = client.open(
        path, method=method, json=make_body(), headers=operator, base_url="http://evil.example"
    )

    assert "evil.example" not in f"{response.headers}{response.text}"


@pytest.mark.parametrize(
    ("host", "status"), [("desk.example.com", 200), ("evil.example", 400), ("127.0.0.1", 400)]
)
def test_trusted_hosts_rejects_other_hosts(client_with_trusted_host, operator, host, status):
    response = client_with_trusted_host.get(ME, headers=operator, base_url=f"http://{host}")

    assert response.status_code == status
    assert response.is_json


def test_success_envelope_is_the_same_everywhere(client, operator):
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    shown = client.get(created.headers["Location"], headers=operator)
    me = client.get(ME, headers=operator)

    assert all(response.json["success"] is True for response in (created, shown, me))
    assert all(
        response.json["request_id"] == response.headers["X-Request-ID"]
        for response in (created, shown, me)
    )


def test_get_requests_leave_no_audit_row(client, operator, rows):
    client.get(ME, headers=operator)
    client.get("/api/admin/nothing", headers=operator)
    client.get("/api/admin/nothing")

    assert rows(AuditEvent) == []


@each("host", ["evil.example", "a..b"])
def test_page_under_a_host_that_is_not_allowed_is_400(client_with_trusted_host, host):
    for path in ("/admin/login", "/admin/clients", "/admin/nothing"):
        for method in ("GET", "POST"):
            response = client_with_trusted_host.open(path, method=method, headers={"Host": host})

            assert (response.status_code, response.mimetype) == (400, "text/html")
            assert "not available under this host name" in response.text
