import pytest

from pipelabs.models import AuditEvent, Client
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

OURS = "https://console.example.com"
ME = "/api/auth/me"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
}
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture
def made(client, operator):
    """Return the address of a client."""
    return client.post(QUICK_CLIENT, json=make_body(), headers=operator).headers["Location"]


@pytest.fixture
def behind_proxy(variant):
    """Return a client of the same service behind one proxy."""
    return variant(TRUSTED_PROXIES=1).test_client()


def cors(response):
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
def test_every_answer_carries_the_security_headers(client, operator, method, path, status):
    response = client.open(path, method=method, headers=operator)

    found = response.headers
    assert response.status_code == status
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Referrer-Policy"] == "same-origin"
    assert found["Cross-Origin-Opener-Policy"] == "same-origin"
    assert found["Cache-Control"] == "no-store"
    assert {"authorization", "cookie", "origin"} <= {name.lower() for name in response.vary}
    assert not {"Server", "X-Powered-By", "Set-Cookie", "Strict-Transport-Security"} & set(
        found.keys()
    )


@each("path", ["/health", ME, "/api/admin/nothing", "/nothing"])
def test_the_policy_lets_no_inline_script_run_and_nobody_frame_us(client, path):
    header = client.get(path).headers["Content-Security-Policy"]

    policy = dict(part.strip().split(" ", 1) for part in header.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in header


def test_a_refused_sign_in_is_kept_by_no_cache(client):
    response = client.get(ME)

    assert (response.status_code, response.headers["Cache-Control"]) == (401, "no-store")


@pytest.mark.parametrize(("scheme", "told"), [("http", False), ("https", True)])
def test_strict_transport_is_told_over_tls_alone(client, scheme, told):
    response = client.get("/health", base_url=f"{scheme}://localhost")

    assert ("Strict-Transport-Security" in response.headers) is told


@pytest.mark.parametrize("forwarded", ["X-Forwarded-Proto", "Forwarded", "X-Forwarded-Ssl"])
def test_a_stranger_cannot_claim_tls(client, forwarded):
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
def test_a_claimed_address_of_an_untrusted_peer_counts_for_nothing(
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
def test_behind_one_proxy_the_last_address_is_the_callers(
    behind_proxy, operator, rows, forwarded, address
):
    headers = operator | ({"X-Forwarded-For": forwarded} if forwarded else {})

    response = behind_proxy.post(QUICK_CLIENT, json=make_body(), headers=headers)

    assert response.status_code == 201
    assert [row.address for row in rows(AuditEvent)] == [address]


def test_behind_one_proxy_tls_is_what_it_says_and_the_host_is_not(behind_proxy, operator):
    claimed = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}

    response = behind_proxy.post(QUICK_CLIENT, json=make_body(), headers=operator | claimed)

    assert "Strict-Transport-Security" in response.headers
    assert "evil" not in f"{response.headers}{response.text}"


@pytest.mark.parametrize("path", [QUICK_CLIENT, "/api/admin/nothing", "/api/auth/login"])
def test_a_preflight_of_our_console_is_answered_before_sign_in_and_limits(client, rows, path):
    response = client.options(path, headers={"Origin": OURS} | PREFLIGHT)

    assert (response.status_code, response.data) == (204, b"")
    assert response.headers[ALLOWED] == OURS
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
def test_another_origin_is_allowed_nothing(client, operator, origin):
    wanted = PREFLIGHT | {"Origin": origin, "Access-Control-Request-Private-Network": "true"}

    answers = [
        client.options(QUICK_CLIENT, headers=wanted),
        client.get(ME, headers=operator | {"Origin": origin}),
        client.get("/api/nothing", headers={"Origin": origin}),
    ]

    assert [cors(answer) for answer in answers] == [set()] * 3


def test_our_console_may_not_reach_into_private_networks(client):
    wanted = PREFLIGHT | {"Origin": OURS, "Access-Control-Request-Private-Network": "true"}

    response = client.options(QUICK_CLIENT, headers=wanted)

    assert response.headers.get("Access-Control-Allow-Private-Network", "false") == "false"


@pytest.mark.parametrize(
    ("path", "status"), [(ME, 200), ("/api/admin/nothing", 404), ("/api/auth/login", 405)]
)
def test_our_console_may_read_answers_and_errors(client, operator, path, status):
    response = client.get(path, headers=operator | {"Origin": OURS})

    assert response.status_code == status
    assert response.headers[ALLOWED] == OURS
    exposed = {
        name.strip() for name in response.headers["Access-Control-Expose-Headers"].split(",")
    }
    assert {"X-Request-ID", "Location", "ETag", "Retry-After"} <= exposed
    assert {"RateLimit", "RateLimit-Policy", "X-RateLimit-Limit"} <= exposed
    assert {"X-RateLimit-Remaining", "X-RateLimit-Reset"} <= exposed


def test_our_console_may_read_that_it_has_to_sign_in(client):
    response = client.get(ME, headers={"Origin": OURS})

    assert (response.status_code, response.headers[ALLOWED]) == (401, OURS)


@each("path", ["/health", "/ready", "/nothing", "/admin", "/apiary"])
def test_outside_the_api_no_origin_is_allowed_anything(client, path):
    got = client.get(path, headers={"Origin": OURS})
    asked = client.options(path, headers={"Origin": OURS} | PREFLIGHT)

    assert cors(got) == cors(asked) == set()


def test_a_request_without_origin_is_told_nothing_of_origins(client, operator):
    response = client.get(ME, headers=operator)

    assert cors(response) == set()


@pytest.mark.parametrize(
    ("path", "allow"),
    [(QUICK_CLIENT, "OPTIONS, POST"), (ME, "GET, HEAD, OPTIONS"), ("/api/admin/nothing", None)],
)
def test_options_without_origin_runs_no_view(client, rows, path, allow):
    response = client.options(path, json=make_body())

    assert (response.status_code, response.data) == (204, b"")
    assert response.headers.get("Allow") == allow
    assert rows(Client) == rows(AuditEvent) == []


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
def test_who_has_this_version_is_not_sent_it_again(client, operator, made, known, status):
    response = client.get(made, headers=operator | {"If-None-Match": known})

    assert response.status_code == status
    assert (response.data == b"") is (status == 304)
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-ID"]
    assert response.headers["X-RateLimit-Remaining"] == "98"


def test_whoever_has_a_version_is_still_asked_who_one_is(client, made):
    response = client.get(made, headers={"If-None-Match": '"1"'})

    assert response.status_code == 401
    assert "ETag" not in response.headers


def test_a_condition_on_nothing_is_still_not_found(client, operator):
    path = "/api/admin/clients/00000000-0000-0000-0000-000000000007"

    response = client.get(path, headers=operator | {"If-None-Match": "*"})

    assert response.status_code == 404


def test_what_a_proxy_hands_on_as_address_is_one_or_unknown(behind_proxy, rows):
    behind_proxy.post(QUICK_CLIENT, headers={"X-Forwarded-For": "<script>"})

    [row] = rows(AuditEvent)
    assert row.address == "unknown"
