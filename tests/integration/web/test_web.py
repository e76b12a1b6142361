import io
import re

import pytest

from pipelabs.models import AuditEvent, Client
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

LOGIN, ME = "/api/auth/login", "/api/auth/me"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def strict_about_hosts(variant):
    """Return a client of the same service that answers under one name alone."""
    return variant(TRUSTED_HOSTS=["desk.example.com"]).test_client()


class Unread(io.RawIOBase):
    """A body that nobody may read."""

    def readable(self):
        return True

    def readinto(self, buffer):
        raise AssertionError("the body was read")


def undeclared(body):
    """Return what makes a request one that does not say how long its body is."""
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
    """Return status and code of an error after looking at its envelope."""
    assert response.mimetype == "application/json"
    assert list(response.json) == ["success", "message", "request_id", "error"]
    assert response.json["success"] is False
    assert response.json["message"]
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    assert isinstance(response.json["error"]["fields"], dict)
    return response.status_code, response.json["error"]["code"]


def test_our_request_ids_are_eight_hex_digits_and_differ(client):
    ids = [client.get("/health").headers["X-Request-ID"] for _ in range(3)]

    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{8}", one) for one in ids)


@pytest.mark.parametrize("request_id", ["abcdefgh", "A.b_c-7890", "f" * 64, "-" * 8, "........"])
def test_a_harmless_request_id_is_taken_everywhere(client, operator, rows, lines, request_id):
    headers = operator | {"X-Request-ID": request_id}

    response = client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert response.json["request_id"] == response.headers["X-Request-ID"] == request_id
    assert [row.request_id for row in rows(AuditEvent)] == [request_id]
    assert [line.split(" | ")[2] for line in lines()] == [request_id]


def test_the_log_names_the_request_by_its_id(client, caplog):
    client.get("/health", headers={"X-Request-ID": "found-in-the-log"})

    assert {record.request_id for record in caplog.records} == {"found-in-the-log"}


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
def test_another_request_id_is_replaced_by_ours(client, operator, rows, request_id):
    headers = operator | {"X-Request-ID": request_id}

    response = client.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert response.status_code == 201
    assert re.fullmatch("[0-9a-f]{8}", response.headers["X-Request-ID"])
    assert [row.request_id for row in rows(AuditEvent)] == [response.json["request_id"]]


@each(
    ("method", "path", "sent", "error"),
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
def test_every_error_is_json_with_the_request_id(client, operator, method, path, sent, error):
    headers = operator | sent.get("headers", {})

    response = client.open(path, method=method, **sent | {"headers": headers})

    assert error_of(response) == error


def test_a_429_is_json_with_the_request_id(client, operator, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_GENERAL", "1/minute")
    client.get("/api/admin/nothing", headers=operator)

    response = client.get("/api/admin/nothing", headers=operator)

    assert error_of(response) == (429, "rate_limited")


def test_a_500_is_json_that_tells_nothing_of_its_cause(client, operator, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "nonsense")

    response = client.get(ME, headers=operator)

    assert error_of(response) == (500, "internal")
    assert not re.search("nonsense|Traceback|ValueError|File|pipelabs", response.text)


@each("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"])
def test_quick_client_takes_no_other_method(client, operator, rows, method):
    response = client.open(QUICK_CLIENT, method=method, json=make_body(), headers=operator)

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert rows(Client) == []


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_header_does_not_change_the_method(client, operator, rows, name):
    response = client.get(
        QUICK_CLIENT,
        json=make_body(),
        headers=operator | {name: "POST"},
        query_string="_method=POST",
    )

    assert response.status_code == 405
    assert rows(Client) == []


def test_a_declared_body_too_large_is_refused_before_it_is_read(client, rows):
    sent = {"CONTENT_LENGTH": str(300 * 1024), "wsgi.input": Unread()}

    response = client.post(QUICK_CLIENT, headers=JSON, environ_overrides=sent)

    assert error_of(response) == (413, "too_large")
    assert [row.http for row in rows(AuditEvent)] == [413]


def test_the_body_of_a_stranger_is_not_read(client, rows):
    response = client.post(QUICK_CLIENT, **undeclared(Unread()))

    assert error_of(response) == (401, "unauthenticated")
    assert [row.status for row in rows(AuditEvent)] == ["UNAUTHORIZED"]


def test_an_undeclared_body_is_read_up_to_the_limit(client, operator, rows):
    body = io.BytesIO(b'{"name": "' + b"x" * 300_000 + b'"}')

    response = client.post(QUICK_CLIENT, headers=operator, **undeclared(body))

    assert error_of(response) == (413, "too_large")
    assert body.tell() <= 2 * 256 * 1024
    assert [(row.status, row.http) for row in rows(AuditEvent)] == [("INVALID", 413)]


def test_the_limit_itself_is_still_taken(client, operator, app):
    most = app.config["MAX_CONTENT_LENGTH"]
    body = b"{}".ljust(most)

    taken = client.post(QUICK_CLIENT, data=body, headers=operator | JSON)
    refused = client.post(QUICK_CLIENT, data=body + b" ", headers=operator | JSON)

    assert (taken.status_code, refused.status_code) == (400, 413)


@each("encoding", ["gzip", "br", "deflate", "x"])
def test_an_encoded_body_is_never_read(client, encoding):
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
def test_odd_headers_do_no_harm(client, operator, headers):
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
def test_odd_addresses_lead_nowhere(client, method, path):
    response = client.open(path, method=method)

    is_static = path.startswith("/static/")
    assert response.status_code == (405 if is_static and method == "POST" else 404)


@each("path", [QUICK_CLIENT, "/api//admin/quick-client", "/api/auth//me"])
@each("method", ["GET", "POST"])
def test_no_address_is_built_from_the_host_that_a_caller_claims(client, operator, method, path):
    response = client.open(
        path, method=method, json=make_body(), headers=operator, base_url="http://evil.example"
    )

    assert "evil.example" not in f"{response.headers}{response.text}"


@pytest.mark.parametrize(
    ("host", "status"), [("desk.example.com", 200), ("evil.example", 400), ("127.0.0.1", 400)]
)
def test_a_list_of_hosts_shuts_the_others_out(strict_about_hosts, operator, host, status):
    response = strict_about_hosts.get(ME, headers=operator, base_url=f"http://{host}")

    assert response.status_code == status
    assert response.is_json


def test_an_answer_of_success_has_the_same_envelope_everywhere(client, operator):
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    shown = client.get(created.headers["Location"], headers=operator)
    me = client.get(ME, headers=operator)

    assert all(answer.json["success"] is True for answer in (created, shown, me))
    assert all(
        answer.json["request_id"] == answer.headers["X-Request-ID"]
        for answer in (created, shown, me)
    )


def test_a_get_commits_nothing_and_leaves_no_row(client, operator, rows):
    client.get(ME, headers=operator)
    client.get("/api/admin/nothing", headers=operator)
    client.get("/api/admin/nothing")

    assert rows(AuditEvent) == []
