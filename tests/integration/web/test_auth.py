import base64
import hmac
import json
import time
from typing import Any, NamedTuple
from uuid import UUID

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa

from pipelabs.models import AuditEvent, Client, Role
from pipelabs.web import auth
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body

ME = "/api/auth/me"
HEADER = {"alg": "HS256", "typ": "JWT"}
NONE = b'{"alg":"none","typ":"JWT"}'
SOMEBODY = str(UUID(int=7, version=4))


class Good(NamedTuple):
    """A token that we have signed, and what is needed to sign another."""

    token: str
    claims: dict[str, Any]
    secret: str


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def signed(payload: Any, secret: str, header: bytes = b"", digest: str = "sha256") -> str:
    first = header or json.dumps(HEADER).encode()
    parts = f"{encoded(first)}.{encoded(json.dumps(payload).encode())}"
    return f"{parts}.{encoded(hmac.digest(secret.encode(), parts.encode(), digest))}"


def with_header(digest="sha256", **changes):
    header = json.dumps(HEADER | changes).encode()
    return lambda good: signed(good.claims, good.secret, header, digest)


def with_raw_header(header):
    return lambda good: signed(good.claims, good.secret, header)


def with_secret(change):
    return lambda good: signed(good.claims, change(good.secret))


def with_payload(change):
    return lambda good: signed(change(good.claims), good.secret)


def with_part(place, change):
    def forge(good):
        parts = good.token.split(".")
        parts[place] = change(parts[place])
        return ".".join(parts)

    return forge


def with_altered_claims(**changes):
    def forge(good):
        header, _, signature = good.token.split(".")
        return f"{header}.{encoded(json.dumps(good.claims | changes).encode())}.{signature}"

    return forge


def with_rs256(good):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(good.claims, key, "RS256")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refused_with(response):
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json["success"] is False
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    return response.json["error"]["code"]


@pytest.fixture
def good(app, operator):
    token = operator["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    return Good(token, claims, app.config["SECRET_KEY"])


def test_a_token_signed_as_we_sign_is_taken(client, good):
    response = client.get(ME, headers=bearer(signed(good.claims, good.secret)))

    assert response.status_code == 200
    assert response.json["admin"]["email"] == "operator@desk.local"


FORGERIES = {
    "alg none, empty signature": lambda good: f"{encoded(NONE)}.{good.token.split('.')[1]}.",
    "alg none, signature kept": with_part(0, lambda _: encoded(NONE)),
    "alg none, signed": with_raw_header(NONE),
    "alg NonE": with_header(alg="NonE"),
    "alg HS384": with_header("sha384", alg="HS384"),
    "alg HS512": with_header("sha512", alg="HS512"),
    "alg HS256 over SHA-512": with_header("sha512"),
    "alg RS256": with_rs256,
    "alg in lower case": with_header(alg="hs256"),
    "alg null": with_header(alg=None),
    "alg a list": with_header(alg=["HS256"]),
    "no alg": with_raw_header(b'{"typ":"JWT"}'),
    "no typ": with_raw_header(b'{"alg":"HS256"}'),
    "typ at+jwt": with_header(typ="at+jwt"),
    "kid a path": with_header(kid="../../dev/null"),
    "kid SQL": with_header(kid="' UNION SELECT 'x'--"),
    "jku": with_header(jku="https://evil.example/keys"),
    "jwk": with_header(jwk={"kty": "oct", "k": "AA"}),
    "x5u": with_header(x5u="https://evil.example/key.pem"),
    "crit unknown": with_header(crit=["https://evil.example/x"]),
    "crit empty": with_header(crit=[]),
    "b64 false": with_header(b64=False, crit=["b64"]),
    "zip": with_header(zip="DEF"),
    "header a list": with_raw_header(b"[]"),
    "header a text": with_raw_header(b'"HS256"'),
    "header lists 4,000 deep": with_raw_header(b"[" * 4_000),
    "header objects 1,500 deep": with_raw_header(b'{"a":' * 1_500),
    "header not UTF-8": with_raw_header(b"\xff\xfe{}"),
    "header a number of 5,000 digits": with_raw_header(b'{"alg":' + b"1" * 5_000 + b"}"),
    "another secret": with_secret(lambda secret: secret[::-1]),
    "an empty secret": with_secret(lambda _: ""),
    "the secret in upper case": with_secret(str.upper),
    "another subject": with_altered_claims(sub=SOMEBODY),
    "a role added": with_altered_claims(role="owner"),
    "a longer life": with_altered_claims(exp=9_999_999_999),
    "payload a list": with_payload(lambda claims: [claims]),
    "payload a text": with_payload(lambda _: "operator"),
    "payload null": with_payload(lambda _: None),
    "signature empty": with_part(2, lambda _: ""),
    "signature cut": with_part(2, lambda signature: signature[:-2]),
    "signature of one letter": with_part(2, lambda signature: signature[:1]),
    "no signature": lambda good: good.token.rpartition(".")[0],
    "a fourth part": lambda good: f"{good.token}.AAAA",
    "padding": lambda good: f"{good.token}=",
    "no base64": lambda _: "!!!.???.***",
    "three letters": lambda _: "a.b.c",
    "two tokens joined": lambda good: good.token * 2,
}


@each("trick", FORGERIES)
def test_a_forged_token_is_refused(client, good, trick):
    forged = FORGERIES[trick](good)

    response = client.get(ME, headers=bearer(forged))

    assert refused_with(response) == "token_invalid"


@each("claim", ["sub", "exp", "iat", "jti", "type", "aud", "iss", "sid", "tv"])
def test_a_token_without_one_of_our_claims_is_refused(client, good, claim):
    claims = {name: value for name, value in good.claims.items() if name != claim}

    response = client.get(ME, headers=bearer(signed(claims, good.secret)))

    assert refused_with(response) == "token_invalid"


@each(
    ("claim", "values"),
    [
        ("sub", [7, None, ["x"], "operator@desk.local", "' OR 1=1--", "\0"]),
        ("jti", [7, None, [], "not-an-id"]),
        ("sid", [7, None, True, [], {}, "not-an-id"]),
        ("tv", ["1", True, 1.0, None, [1]]),
        ("type", ["refresh", "Access", ["access"], True, None]),
        ("aud", ["pipelabs", ["somebody-else"], 7, {}, None]),
        ("iss", ["pipelabs.evil.example", ["pipelabs"], 7, None]),
        ("exp", ["tomorrow", True, None, 1e30, float("inf"), float("nan"), 10**400, []]),
        ("iat", ["now", 0.5, None, float("-inf"), []]),
        ("nbf", ["now", None, float("inf"), {}]),
    ],
)
def test_a_claim_of_another_type_or_meaning_is_refused(client, good, claim, values):
    forged = [signed(good.claims | {claim: value}, good.secret) for value in values]

    responses = [client.get(ME, headers=bearer(token)) for token in forged]

    assert [response.status_code for response in responses] == [401] * len(values)
    assert {refused_with(response) for response in responses} <= {"token_invalid", "token_expired"}


@each(
    ("offsets", "code"),
    [
        ({"iat": -1_000, "nbf": -1_000, "exp": -100}, "token_expired"),
        ({"iat": -911, "nbf": -911, "exp": -11}, "token_expired"),
        ({"iat": 0, "nbf": 60, "exp": 600}, "token_invalid"),
        ({"iat": 60, "nbf": 0, "exp": 600}, "token_invalid"),
        ({"iat": 0, "nbf": 0, "exp": 901}, "token_invalid"),
        ({"iat": 0, "nbf": 0, "exp": 43_200}, "token_invalid"),
        ({"iat": -(10**9), "nbf": 0, "exp": 600}, "token_invalid"),
        ({"iat": 5, "nbf": 0, "exp": 5}, "token_invalid"),
        ({"iat": 5, "nbf": 0, "exp": 1}, "token_invalid"),
    ],
)
def test_a_token_outside_its_time_is_refused(client, good, offsets, code):
    moments = {claim: int(time.time()) + offset for claim, offset in offsets.items()}

    response = client.get(ME, headers=bearer(signed(good.claims | moments, good.secret)))

    assert refused_with(response) == code


@each("changes", [{"sub": SOMEBODY}, {"sid": SOMEBODY}, {"tv": 0}, {"tv": 2}, {"tv": 10**30}])
def test_a_right_signature_over_nobody_we_know_is_refused(client, good, changes):
    response = client.get(ME, headers=bearer(signed(good.claims | changes, good.secret)))

    assert refused_with(response) == "token_revoked"


def test_a_session_serves_the_admin_it_belongs_to_alone(client, good, sign_in):
    other = sign_in(Role.OWNER)["Authorization"].removeprefix("Bearer ")
    owner = jwt.decode(other, options={"verify_signature": False})

    response = client.get(
        ME, headers=bearer(signed(good.claims | {"sub": owner["sub"]}, good.secret))
    )

    assert refused_with(response) == "token_revoked"


def test_the_role_in_a_token_means_nothing(client, sign_in, app):
    token = sign_in(Role.VIEWER)["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    forged = signed(claims | {"role": "owner"}, app.config["SECRET_KEY"])

    response = client.post(QUICK_CLIENT, json=make_body(), headers=bearer(forged))

    assert response.status_code == 403


@each(
    ("header", "code"),
    [
        (None, "unauthenticated"),
        ("", "token_invalid"),
        ("Bearer", "token_invalid"),
        ("Bearer ", "token_invalid"),
        ("bearer t", "token_invalid"),
        ("{token}", "token_invalid"),
        ("Basic dXNlcjpwYXNz", "token_invalid"),
        ("Basic {token}", "token_invalid"),
        ("Token {token}", "token_invalid"),
        ("JWT {token}", "token_invalid"),
        ("Bearer: {token}", "token_invalid"),
        ("Bearer  {token}", "token_invalid"),
        ("Bearer\t{token}", "token_invalid"),
        ("Bearer {token} {token}", "token_invalid"),
        ("Bearer {token}, Bearer {token}", "token_invalid"),
        ("Bearer {token},", "token_invalid"),
        ("Bearer {token};x=1", "token_invalid"),
        ('Bearer "{token}"', "token_invalid"),
        ("Bearer token={token}", "token_invalid"),
        ("Bearer {token}\u00e9", "token_invalid"),
        ("Bearer " + "A" * 20_000, "token_invalid"),
    ],
)
def test_only_one_bearer_token_in_the_header_counts(client, good, header, code):
    headers = {} if header is None else {"Authorization": header.format(token=good.token)}

    response = client.get(ME, headers=headers)

    assert refused_with(response) == code


def test_two_authorization_headers_are_refused(client, good):
    twice = [("Authorization", f"Bearer {good.token}")] * 2

    response = client.get(ME, headers=twice)

    assert refused_with(response) == "token_invalid"


@each("name", ["jwt", "access_token", "token", "Authorization"])
def test_a_token_in_the_query_is_no_sign_in(client, good, name):
    response = client.get(ME, query_string={name: good.token})

    assert refused_with(response) == "unauthenticated"


@pytest.mark.parametrize("name", ["jwt", "access_token", "token"])
def test_a_token_in_the_body_is_no_sign_in(client, good, rows, name):
    in_json = client.post(QUICK_CLIENT, json=make_body(**{name: good.token}))
    in_form = client.post(QUICK_CLIENT, data={name: good.token})

    assert [refused_with(one) for one in (in_json, in_form)] == ["unauthenticated"] * 2
    assert rows(Client) == []


@each("name", ["access_token_cookie", "__Host-pl_at", "session", "jwt"])
def test_a_token_in_a_cookie_is_no_sign_in(client, good, name):
    client.set_cookie(name, good.token)

    response = client.get(ME)

    assert refused_with(response) == "unauthenticated"


@each(
    "path",
    [
        "/api/admin",
        "/api/admin/",
        "/api/admin/nothing-here",
        "/api/admin/quick-client/",
        "/api/admin/clients/not-an-id",
        "/api/admin/../auth/login",
        "/api/admin/%00",
        "/api/admin/%ff",
    ],
)
def test_below_admin_a_stranger_learns_of_no_address_or_method(client, path):
    methods = ("GET", "POST", "DELETE", "TRACE", "PURGE")

    responses = [client.open(path, method=method) for method in methods]

    assert {refused_with(response) for response in responses} == {"unauthenticated"}


@each(
    "path", ["/api/nothing-here", "/api/administrators", "/api/auth/nothing-here", "/nothing-here"]
)
def test_elsewhere_an_unknown_address_is_not_found(client, path):
    response = client.get(path)

    assert response.status_code == 404


@pytest.mark.parametrize("trick", ["another subject", "alg none, signature kept"])
def test_a_forged_name_is_never_written_as_the_admin(client, good, rows, lines, trick):
    forged = FORGERIES[trick](good)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=bearer(forged))

    assert refused_with(response) == "token_invalid"
    [row] = rows(AuditEvent)
    assert (row.status, row.http, row.actor, row.admin_id) == ("UNAUTHORIZED", 401, None, None)
    [line] = lines()
    assert line.split(" | ")[1:5] == ["UNAUTHORIZED", response.json["request_id"], "-", "-"]


def test_a_stranger_learns_nothing_of_the_body(client, rows):
    answers = [
        client.post(QUICK_CLIENT, json=make_body()),
        client.post(QUICK_CLIENT, json={"wallet_address": "x"}),
        client.post(QUICK_CLIENT, data="{", content_type="text/plain"),
    ]

    assert [refused_with(answer) for answer in answers] == ["unauthenticated"] * 3
    assert {answer.json["message"] for answer in answers} == {answers[0].json["message"]}
    assert rows(Client) == []


def test_a_token_that_was_good_expires_all_the_same(app, client, sign_in):
    header = sign_in(Role.OPERATOR)
    life = app.config["JWT_ACCESS_TOKEN_EXPIRES"].total_seconds()
    earlier = client.get(ME, headers=header)

    with time_machine.travel(time.time() + life + app.config["JWT_DECODE_LEEWAY"] + 1):
        later = client.get(ME, headers=header)

    assert earlier.status_code == 200
    assert (later.status_code, refused_with(later)) == (401, "token_expired")


def test_a_token_is_read_once_and_its_session_is_asked_for_each_time(client, sign_in):
    header = sign_in(Role.OPERATOR)
    auth._known.cache_clear()

    statuses = [client.get(ME, headers=header).status_code for _ in range(3)]
    read = auth._known.cache_info()
    client.post("/api/auth/logout", headers=header)

    assert statuses == [200] * 3
    assert (read.hits, read.misses) == (2, 1)
    assert refused_with(client.get(ME, headers=header)) == "token_revoked"
