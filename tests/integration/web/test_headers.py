import collections
import re
from uuid import uuid4

import pytest

from pipelabs.models import AuditEvent, Client
from pipelabs.web import auth
from pipelabs.web.headers import SECURITY_HEADERS
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

ALLOWED_ORIGIN = "https://console.example.com"
ME = "/api/auth/me"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
}
ALLOW_ORIGIN = "Access-Control-Allow-Origin"


@pytest.fixture
def location(client, operator):
    """Return the path of a client."""
    return client.post(QUICK_CLIENT, json=make_body(), headers=operator).headers["Location"]


@pytest.fixture
def behind_proxy(variant):
    """Return a test client of the service with one trusted proxy."""
    return variant(TRUSTED_PROXIES=1).test_client()


def cors_headers(response):
    return {name for name, _ in response.headers if name.startswith("Access-Control-")}


@each(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/ready", 200),
        ("GET", ME, 200),
        ("HEAD", ME, 200),
        ("OPTIONS", QUICK_CLIENT, 204),
        ("POST", QUICK_CLIENT, 415),
        ("POST", "/api/auth/login", 415),
        ("DELETE", QUICK_CLIENT, 405),
        ("GET", "/api/admin/nothing", 404),
        ("GET", "/nothing", 404),
    ],
)
def test_security_headers_are_on_every_response(client, operator, method, path, status):
    response = client.open(path, method=method, headers=operator)

    headers = response.headers
    assert response.status_code == status
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert {"authorization", "cookie", "origin"} <= {name.lower() for name in response.vary}
    assert not {"Server", "X-Powered-By", "Set-Cookie", "Strict-Transport-Security"} & set(
        headers.keys()
    )


@each("path", ["/health", ME, "/api/admin/nothing", "/nothing"])
def test_content_security_policy_forbids_inline_scripts_and_framing(client, path):
    header = client.get(path).headers["Content-Security-Policy"]

    policy = dict(part.strip().split(" ", 1) for part in header.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in header


def test_unauthorized_response_is_not_cached(client):
    response = client.get(ME)

    assert (response.status_code, response.headers["Cache-Control"]) == (401, "no-store")


@pytest.mark.parametrize(("scheme", "is_sent"), [("http", False), ("https", True)])
def test_hsts_is_sent_only_over_tls(client, scheme, is_sent):
    response = client.get("/health", base_url=f"{scheme}://localhost")

    assert ("Strict-Transport-Security" in response.headers) is is_sent


@pytest.mark.parametrize("forwarded", ["X-Forwarded-Proto", "Forwarded", "X-Forwarded-Ssl"])
def test_hsts_ignores_forwarded_headers_of_untrusted_peers(client, forwarded):
    response = client.get("/health", headers={forwarded: "https"})

    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize(
    "claimed",
    [
        {"X-Forwarded-For": "1.2.3.4"},
        {"X-Real-IP": "1.2.3.4"},
        {"Forwarded": "for=1.2.3.4"},
        {"X-Forwarded-For": "1.2.3.4, 5.6.7.8", "X-Forwarded-Host": "evil.example"},
    ],
)
def test_client_address_ignores_forwarded_headers_of_untrusted_peers(
    client, operator, rows, lines, claimed
):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator | claimed)

    assert response.status_code == 201
    assert [row.address for row in rows(AuditEvent)] == ["127.0.0.1"]
    assert " ip=127.0.0.1 " in lines()[0]


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [(None, "127.0.0.1"), ("1.2.3.4", "1.2.3.4"), ("6.6.6.6, 1.2.3.4", "1.2.3.4")],
)
def test_client_address_behind_one_proxy_is_the_last_forwarded_one(
    behind_proxy, operator, rows, forwarded, address
):
    headers = operator | ({"X-Forwarded-For": forwarded} if forwarded else {})

    response = behind_proxy.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert response.status_code == 201
    assert [row.address for row in rows(AuditEvent)] == [address]


def test_proxy_headers_set_the_scheme_but_not_the_host(behind_proxy, operator):
    claimed = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}

    response = behind_proxy.post(QUICK_CLIENT, json=make_body(), headers=operator | claimed)

    assert "Strict-Transport-Security" in response.headers
    assert "evil" not in f"{response.headers}{response.text}"


@pytest.mark.parametrize("path", [QUICK_CLIENT, "/api/admin/nothing", "/api/auth/login"])
def test_cors_preflight_needs_no_sign_in_and_spends_no_budget(client, rows, path):
    response = client.options(path, headers={"Origin": ALLOWED_ORIGIN} | PREFLIGHT)

    assert (response.status_code, response.data) == (204, b"")
    assert response.headers[ALLOW_ORIGIN] == ALLOWED_ORIGIN
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "idempotency-key"} <= set(allowed)
    assert response.headers["Access-Control-Max-Age"] == "600"
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert "RateLimit" not in response.headers
    assert rows(AuditEvent) == []


FOREIGN = [
    "https://evil.example",
    "http://console.example.com",
    "https://console.example.com:8443",
    "https://console.example.com.evil.example",
    "https://evil.example/?https://console.example.com",
    "https://evilconsole.example.com",
    "https://sub.console.example.com",
    "https://consoleXexample.com",
    "https://console.example.com, https://evil.example",
    "null",
    "*",
]


@each("origin", FOREIGN)
def test_cors_allows_nothing_to_other_origins(client, operator, origin):
    preflight = PREFLIGHT | {"Origin": origin, "Access-Control-Request-Private-Network": "true"}

    responses = [
        client.options(QUICK_CLIENT, headers=preflight),
        client.get(ME, headers=operator | {"Origin": origin}),
        client.get("/api/nothing", headers={"Origin": origin}),
    ]

    assert [cors_headers(response) for response in responses] == [set()] * 3


def test_cors_denies_private_network_access(client):
    preflight = PREFLIGHT | {
        "Origin": ALLOWED_ORIGIN,
        "Access-Control-Request-Private-Network": "true",
    }

    response = client.options(QUICK_CLIENT, headers=preflight)

    assert response.headers.get("Access-Control-Allow-Private-Network", "false") == "false"


@pytest.mark.parametrize(
    ("path", "status"), [(ME, 200), ("/api/admin/nothing", 404), ("/api/auth/login", 405)]
)
def test_cors_exposes_responses_and_errors_to_the_allowed_origin(client, operator, path, status):
    response = client.get(path, headers=operator | {"Origin": ALLOWED_ORIGIN})

    assert response.status_code == status
    assert response.headers[ALLOW_ORIGIN] == ALLOWED_ORIGIN
    exposed = {
        name.strip() for name in response.headers["Access-Control-Expose-Headers"].split(",")
    }
    assert {"X-Request-ID", "Location", "ETag", "Retry-After"} <= exposed
    assert {"RateLimit", "RateLimit-Policy", "X-RateLimit-Limit"} <= exposed
    assert {"X-RateLimit-Remaining", "X-RateLimit-Reset"} <= exposed


def test_cors_exposes_401_to_the_allowed_origin(client):
    response = client.get(ME, headers={"Origin": ALLOWED_ORIGIN})

    assert (response.status_code, response.headers[ALLOW_ORIGIN]) == (401, ALLOWED_ORIGIN)


@each("path", ["/health", "/ready", "/nothing", "/admin", "/apiary"])
def test_cors_allows_nothing_outside_the_api(client, path):
    response = client.get(path, headers={"Origin": ALLOWED_ORIGIN})
    preflight = client.options(path, headers={"Origin": ALLOWED_ORIGIN} | PREFLIGHT)

    assert cors_headers(response) == cors_headers(preflight) == set()


def test_cors_headers_are_absent_without_an_origin(client, operator):
    response = client.get(ME, headers=operator)

    assert cors_headers(response) == set()


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (QUICK_CLIENT, "OPTIONS, POST"),
        (ME, "GET, HEAD, OPTIONS"),
        ("/api/admin/clients/31113ba9-d54f-4b34-8877-19e7dc1b7084", "GET, HEAD, OPTIONS, PATCH"),
        ("/static/missing.css", "GET, HEAD, OPTIONS"),
        ("/api/admin/nothing", None),
    ],
)
def test_options_request_runs_no_view(client, rows, path, allow):
    response = client.options(path, json=make_body())

    assert (response.status_code, response.data) == (204, b"")
    assert response.headers.get("Allow") == allow
    assert rows(Client) == rows(AuditEvent) == []


def test_allow_has_every_declared_method_of_every_path(app, client):
    declared: dict[str, set[str]] = collections.defaultdict(set)
    for rule in app.url_map.iter_rules():
        declared[rule.rule] |= rule.methods | {"OPTIONS"}
    assert sum(len(methods - {"HEAD", "OPTIONS"}) > 1 for methods in declared.values()) >= 12

    for rule, methods in declared.items():
        response = client.options(fill_path(rule))

        assert set(response.headers["Allow"].split(", ")) == methods, rule


def test_405_has_the_same_allow_as_options(app, client, operator):
    rules = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/auth")}

    for path in map(fill_path, rules):
        allow = client.options(path).headers["Allow"]
        response = client.open(path, method="PURGE", headers=operator)

        assert response.status_code == 405
        assert set(response.headers["Allow"].split(", ")) == set(allow.split(", "))


def fill_path(rule):
    """Return a path of the rule."""
    path = re.sub("<uuid:[a-z_]+>", str(uuid4()), rule)
    return re.sub("<[a-z]+:[a-z_]+>", "7", path)


def test_cors_allows_every_header_that_the_document_tells_to_send(app, client):
    document = client.get("/api/openapi.json").json
    parameters = document["components"]["parameters"].values()
    told = {item["name"] for item in parameters if item["in"] == "header"}
    told |= {"Authorization", "Content-Type", "X-Request-ID"}

    for name in told:
        asked = PREFLIGHT | {"Access-Control-Request-Headers": name.lower()}
        response = client.options(QUICK_CLIENT, headers={"Origin": ALLOWED_ORIGIN} | asked)

        assert response.headers["Access-Control-Allow-Headers"].lower() == name.lower()


def test_cors_allows_every_method_of_the_api(app, client):
    methods = {
        method
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods
    } - {"HEAD", "OPTIONS"}

    response = client.options(QUICK_CLIENT, headers={"Origin": ALLOWED_ORIGIN} | PREFLIGHT)

    assert set(response.headers["Access-Control-Allow-Methods"].split(", ")) == methods


def test_cors_exposes_every_header_of_an_answer(client, operator, location):
    described = client.get("/api/openapi.json").json["components"]["headers"]
    known = operator | {"Origin": ALLOWED_ORIGIN}
    responses = [
        client.get(location, headers=known),
        client.post(QUICK_CLIENT, json=make_body(email=None), headers=known),
        client.get(ME, headers={"Origin": ALLOWED_ORIGIN}),
        client.delete(ME, headers=known),
    ]
    # What a browser shows to every page, and what concerns the browser alone.
    kept = {
        "Cache-Control",
        "Content-Length",
        "Content-Type",
        "Date",
        "Vary",
        *dict(SECURITY_HEADERS),
    }

    for response in responses:
        exposed = set(response.headers["Access-Control-Expose-Headers"].split(", "))
        sent = {name for name, _ in response.headers} - cors_headers(response) - kept

        assert sent <= exposed
        assert set(described) <= exposed


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ('"1"', 304),
        ('W/"1"', 304),
        ('"0", "1"', 304),
        ("*", 304),
        ('"2"', 200),
        ("1", 304),
        ('"', 200),
        ("", 200),
        ("\u00e9", 200),
    ],
)
def test_if_none_match_returns_304_for_the_current_version(
    client, operator, location, known, status
):
    response = client.get(location, headers=operator | {"If-None-Match": known})

    assert response.status_code == status
    assert (response.data == b"") is (status == 304)
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-ID"]
    assert response.headers["X-RateLimit-Remaining"] == "98"


def test_if_none_match_requires_authentication(client, location):
    response = client.get(location, headers={"If-None-Match": '"1"'})

    assert response.status_code == 401
    assert "ETag" not in response.headers


def test_if_none_match_of_a_missing_client_is_404(client, operator):
    path = "/api/admin/clients/00000000-0000-0000-0000-000000000007"

    response = client.get(path, headers=operator | {"If-None-Match": "*"})

    assert response.status_code == 404


def test_client_address_that_is_no_ip_address_is_unknown(behind_proxy, rows):
    behind_proxy.post(QUICK_CLIENT, headers={"X-Forwarded-For": "<script>"})

    [row] = rows(AuditEvent)
    assert row.address == "unknown"


@each(
    ("forwarded", "address"),
    [
        ("192.0.2.7:51008", "192.0.2.7"),
        ("[2001:db8::7]:51008", "2001:db8::7"),
        ("fe80::7%eth0", "fe80::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%" + "a" * 5_000, "unknown"),
    ],
)
def test_client_address_is_recorded_in_canonical_form(behind_proxy, rows, forwarded, address):
    behind_proxy.post(QUICK_CLIENT, headers={"X-Forwarded-For": forwarded})

    assert rows(AuditEvent)[-1].address == address


def test_client_address_that_is_no_ip_address_is_logged_once(behind_proxy, caplog):
    auth._warn_once.cache_clear()
    for forwarded in ("<script>", "_hidden", "10.0.0.1, "):
        behind_proxy.get("/health", headers={"X-Forwarded-For": forwarded})

    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in warnings] == [auth.NO_ADDRESS]


@each("host", ["a..b", "x" * 300, "[::1", "evil.example:99999", "ä", "a b"])
def test_invalid_host_is_400_everywhere(client, host):
    for path in ("/admin/login", "/admin/", "/api/docs", "/api/admin/clients", "/nothing"):
        for method in ("GET", "POST", "OPTIONS"):
            response = client.open(path, method=method, headers={"Host": host})

            assert response.status_code < 500, (path, method, host)
