"""Any text in any header, path, query or body of any route is answered without a server error."""

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelabs.models import Role
from pipelabs.web.operation import registry
from tests.factories import make_vault_keys
from tests.instances import RAISED_LIMITS
from tests.sizes import sized

HEADERS = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Host",
    "HX-Boosted",
    "HX-Current-URL",
    "HX-Request",
    "HX-Target",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "Origin",
    "Range",
    "Referer",
    "Sec-Fetch-Site",
    "Transfer-Encoding",
    "User-Agent",
    "X-CSRF-Token",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-HTTP-Method",
    "X-Request-ID",
]
QUERY = [
    "next",
    "cursor",
    "size",
    "sort",
    "q",
    "since",
    "until",
    "status",
    "event",
    "address",
    "days",
    "stage",
    "exchange",
    "page",
]
NASTY = [
    "",
    "\0",
    "%",
    "%00",
    "*",
    "//[",
    "http://[",
    "http://[::1",
    "a..b",
    "fe80::1%\0",
    "[::ffff:192.0.2.7]:99999",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "9" * 400,
    "-1",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "infinity",
    "NaN",
    "🫨".encode().decode("latin-1"),
    "bytes=9-1",
    'W/"1", "',
    "Bearer pl_" + "a" * 43,
    "BEARER a.b.c",
    "gzip",
    "application/json; charset=utf-16",
    "multipart/form-data",
    "{}",
    "[]",
    "' OR 1=1 --",
    "<script>",
]
texts = st.sampled_from(NASTY) | st.text(
    st.characters(max_codepoint=255, exclude_characters="\r\n")
)
wide = st.sampled_from(NASTY) | st.text(st.characters())
ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"
LOGIN = "/admin/login"
members = st.dictionaries(wide, wide | st.none() | st.integers() | st.booleans(), max_size=4)


@pytest.fixture
def service(variant):
    settings = RAISED_LIMITS | {"VAULT_KEYS": make_vault_keys(), "TRUSTED_PROXIES": 1}
    return variant(**settings, EXCHANGE_BASE_URL="http://127.0.0.1:1", ENVIRONMENT="staging")


@pytest.fixture
def caller(service, sign_in, console):
    """Return a function that sends a request as an owner, and signs in again after a sign-out."""

    def signed_in():
        header = sign_in(Role.OWNER, email="api@desk.local")
        browser = console(Role.OWNER, email="console@desk.local")
        browser.client.application = service
        return header, browser.client

    header, client = signed_in()

    def send(method, path, headers, **options):
        nonlocal header, client
        response = client.open(
            path, method=method, headers=header | headers, base_url="https://localhost", **options
        )
        is_rejected = response.status_code == 401 and "Authorization" not in headers
        if is_rejected or response.headers.get("Location", "").startswith(LOGIN):
            header, client = signed_in()
        return response

    return send


# In one transaction, PostgreSQL would look up a subtransaction for each row that it reads.
@pytest.mark.own_database
@sized(200, 20_000)
def test_no_text_in_a_request_causes_a_server_error(service, caller, size, record_property):
    rules = [rule for rule in service.url_map.iter_rules() if rule.endpoint in registry(service)]
    statuses = set()

    @settings(
        max_examples=size,
        derandomize=size <= 200,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        rule=st.sampled_from(rules),
        ids=st.lists(
            wide | st.just("31113ba9-d54f-4b34-8877-19e7dc1b7084"), min_size=4, max_size=4
        ),
        headers=st.dictionaries(st.sampled_from(HEADERS), texts, max_size=3),
        query=st.dictionaries(st.sampled_from(QUERY) | wide, wide, max_size=3),
        body=st.none() | members | st.text(),
        is_form=st.booleans(),
    )
    def send(rule, ids, headers, query, body, is_form):
        parts = dict(zip(sorted(rule.arguments), ids, strict=False))
        path = rule.rule
        for name, text in parts.items():
            at = path.index(f"{name}>")
            start = path.rindex("<", 0, at)
            encoded = quote(text.encode("utf-8", "surrogatepass"), safe="")
            path = path[:start] + encoded + path[at + len(name) + 1 :]
        pairs = (
            f"{quote(name.encode('utf-8', 'surrogatepass'))}"
            f"={quote(value.encode('utf-8', 'surrogatepass'))}"
            for name, value in query.items()
        )
        text = body if isinstance(body, str) else json.dumps(body or {})
        kind = "application/x-www-form-urlencoded" if is_form else "application/json"
        method = sorted(rule.methods - {"HEAD", "OPTIONS"})[0]

        response = caller(
            method,
            path,
            {"Content-Type": kind} | headers,
            query_string="&".join(pairs),
            data=text.encode("utf-8", "surrogatepass"),
        )

        statuses.add(response.status_code)
        assert response.status_code < 500, (method, path)

    send()

    record_property("statuses", sorted(statuses))
    assert {200, 400, 404} <= statuses
