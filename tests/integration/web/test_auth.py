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

from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Client, Role
from pipelabs.web import auth
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body
from tests.form_client import Browser

ME = "/api/auth/me"
HEADER = {"alg": "HS256", "typ": "JWT"}
NONE = b'{"alg":"none","typ":"JWT"}'
UNKNOWN_ID = str(UUID(int=7, version=4))


class ValidToken(NamedTuple):
    """A valid token, and what is needed to sign another."""

    token: str
    claims: dict[str, Any]
    secret: str


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def sign(payload: Any, secret: str, header: bytes = b"", digest: str = "sha256") -> str:
    header = header or json.dumps(HEADER).encode()
    parts = f"{encode(header)}.{encode(json.dumps(payload).encode())}"
    return f"{parts}.{encode(hmac.digest(secret.encode(), parts.encode(), digest))}"


def with_header(digest="sha256", **changes):
    header = json.dumps(HEADER | changes).encode()
    return lambda good: sign(good.claims, good.secret, header, digest)


def with_raw_header(header):
    return lambda good: sign(good.claims, good.secret, header)


def with_secret(change):
    return lambda good: sign(good.claims, change(good.secret))


def with_payload(change):
    return lambda good: sign(change(good.claims), good.secret)


def with_part(index, change):
    def forge(good):
        parts = good.token.split(".")
        parts[index] = change(parts[index])
        return ".".join(parts)

    return forge


def with_altered_claims(**changes):
    def forge(good):
        header, _, signature = good.token.split(".")
        return f"{header}.{encode(json.dumps(good.claims | changes).encode())}.{signature}"

    return forge


def with_rs256(good):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(good.claims, key, "RS256")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def error_code(response):
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json["success"] is False
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    return response.json["error"]["code"]


@pytest.fixture
def good(app, operator):
    token = operator["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    return ValidToken(token, claims, app.config["SECRET_KEY"])


def test_authentication_accepts_a_correctly_signed_token(client, good):
    response = client.get(ME, headers=bearer(sign(good.claims, good.secret)))

    assert response.status_code == 200
    assert response.json["admin"]["email"] == "operator@desk.local"


FORGERIES = {
    "alg none, empty signature": lambda good: f"{encode(NONE)}.{good.token.split('.')[1]}.",
    "alg none, signature kept": with_part(0, lambda _: encode(NONE)),
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
    "header a string": with_raw_header(b'"HS256"'),
    "header lists 4,000 deep": with_raw_header(b"[" * 4_000),
    "header objects 1,500 deep": with_raw_header(b'{"a":' * 1_500),
    "header not UTF-8": with_raw_header(b"\xff\xfe{}"),
    "header a number of 5,000 digits": with_raw_header(b'{"alg":' + b"1" * 5_000 + b"}"),
    "another secret": with_secret(lambda secret: secret[::-1]),
    "an empty secret": with_secret(lambda _: ""),
    "the secret in upper case": with_secret(str.upper),
    "another subject": with_altered_claims(sub=UNKNOWN_ID),
    "a role added": with_altered_claims(role="owner"),
    "a longer lifetime": with_altered_claims(exp=9_999_999_999),
    "payload a list": with_payload(lambda claims: [claims]),
    "payload a string": with_payload(lambda _: "operator"),
    "payload null": with_payload(lambda _: None),
    "signature empty": with_part(2, lambda _: ""),
    "signature cut": with_part(2, lambda signature: signature[:-2]),
    "signature of one letter": with_part(2, lambda signature: signature[:1]),
    "no signature": lambda good: good.token.rpartition(".")[0],
    "a fourth part": lambda good: f"{good.token}.AAAA",
    "padding": lambda good: f"{good.token}=",
    "not base64": lambda _: "!!!.???.***",
    "three letters": lambda _: "a.b.c",
    "two tokens joined": lambda good: good.token * 2,
}


@each("forgery", FORGERIES)
def test_authentication_rejects_forged_tokens(client, good, forgery):
    forged = FORGERIES[forgery](good)

    response = client.get(ME, headers=bearer(forged))

    assert error_code(response) == "token_invalid"


@each("claim", ["sub", "exp", "iat", "jti", "type", "aud", "iss", "sid", "tv"])
def test_authentication_rejects_missing_claims(client, good, claim):
    claims = {name: value for name, value in good.claims.items() if name != claim}

    response = client.get(ME, headers=bearer(sign(claims, good.secret)))

    assert error_code(response) == "token_invalid"


@each(
    ("claim", "values"),
    [
        ("sub", [7, None, ["x"], "operator@desk.local", "' OR 1=1--", "\0"]),
        ("jti", [7, None, [], "not-an-id"]),
        ("sid", [7, None, True, [], {}, "not-an-id"]),
        ("tv", ["1", True, 1.0, None, [1], 2**31, -(2**31) - 1, 10**30]),
        ("type", ["refresh", "Access", ["access"], True, None]),
        ("aud", ["pipelabs", ["another-service"], 7, {}, None]),
        ("iss", ["pipelabs.evil.example", ["pipelabs"], 7, None]),
        ("exp", ["tomorrow", True, None, 1e30, float("inf"), float("nan"), 10**400, []]),
        ("iat", ["now", 0.5, None, float("-inf"), []]),
        ("nbf", ["now", None, float("inf"), {}]),
    ],
)
def test_authentication_rejects_claims_of_wrong_type_or_value(client, good, claim, values):
    forged = [sign(good.claims | {claim: value}, good.secret) for value in values]

    responses = [client.get(ME, headers=bearer(token)) for token in forged]

    assert [response.status_code for response in responses] == [401] * len(values)
    assert {error_code(response) for response in responses} <= {
        "token_invalid",
        "token_expired",
    }


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
def test_authentication_rejects_tokens_outside_their_validity_period(client, good, offsets, code):
    times = {claim: int(time.time()) + offset for claim, offset in offsets.items()}

    response = client.get(ME, headers=bearer(sign(good.claims | times, good.secret)))

    assert error_code(response) == code


@each(
    "changes", [{"sub": UNKNOWN_ID}, {"sid": UNKNOWN_ID}, {"tv": 0}, {"tv": 2}, {"tv": 2**31 - 1}]
)
def test_authentication_rejects_signed_tokens_of_unknown_sessions(client, good, changes):
    response = client.get(ME, headers=bearer(sign(good.claims | changes, good.secret)))

    assert error_code(response) == "token_revoked"


def test_authentication_rejects_a_session_of_another_admin(client, good, sign_in):
    other = sign_in(Role.OWNER)["Authorization"].removeprefix("Bearer ")
    owner = jwt.decode(other, options={"verify_signature": False})

    response = client.get(
        ME, headers=bearer(sign(good.claims | {"sub": owner["sub"]}, good.secret))
    )

    assert error_code(response) == "token_revoked"


def test_authorization_ignores_the_role_in_a_token(client, sign_in, app):
    token = sign_in(Role.VIEWER)["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    forged = sign(claims | {"role": "owner"}, app.config["SECRET_KEY"])

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
def test_authentication_requires_exactly_one_bearer_token(client, good, header, code):
    headers = {} if header is None else {"Authorization": header.format(token=good.token)}

    response = client.get(ME, headers=headers)

    assert error_code(response) == code


@each("scheme", ["bearer", "BEARER", "bEaReR"])
def test_authentication_ignores_the_case_of_the_scheme(client, good, scheme):
    response = client.get(ME, headers={"Authorization": f"{scheme} {good.token}"})

    assert response.status_code == 200


def test_authentication_rejects_two_authorization_headers(client, good):
    twice = [("Authorization", f"Bearer {good.token}")] * 2

    response = client.get(ME, headers=twice)

    assert error_code(response) == "token_invalid"


@each("name", ["jwt", "access_token", "token", "Authorization"])
def test_authentication_ignores_tokens_in_the_query(client, good, name):
    response = client.get(ME, query_string={name: good.token})

    assert error_code(response) == "unauthenticated"


@pytest.mark.parametrize("name", ["jwt", "access_token", "token"])
def test_authentication_ignores_tokens_in_the_body(client, good, rows, name):
    in_json = client.post(QUICK_CLIENT, json=make_body(**{name: good.token}))
    in_form = client.post(QUICK_CLIENT, data={name: good.token})

    assert [error_code(response) for response in (in_json, in_form)] == ["unauthenticated"] * 2
    assert rows(Client) == []


@each("name", ["access_token_cookie", "__Host-pl_at", "session", "jwt"])
def test_authentication_ignores_tokens_in_cookies(client, good, name):
    client.set_cookie(name, good.token)

    response = client.get(ME)

    assert error_code(response) == "unauthenticated"


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
def test_anonymous_callers_get_401_for_every_path_and_method_below_admin(client, path):
    methods = ("GET", "POST", "DELETE", "TRACE", "PURGE")

    responses = [client.open(path, method=method) for method in methods]

    assert {error_code(response) for response in responses} == {"unauthenticated"}


@each(
    "path", ["/api/nothing-here", "/api/administrators", "/api/auth/nothing-here", "/nothing-here"]
)
def test_unknown_paths_outside_admin_are_404(client, path):
    response = client.get(path)

    assert response.status_code == 404


@pytest.mark.parametrize("forgery", ["another subject", "alg none, signature kept"])
def test_audit_row_of_a_forged_token_has_no_admin(client, good, rows, lines, forgery):
    forged = FORGERIES[forgery](good)

    response = client.post(QUICK_CLIENT, json=make_body(), headers=bearer(forged))

    assert error_code(response) == "token_invalid"
    [row] = rows(AuditEvent)
    assert (row.status, row.http, row.actor, row.admin_id) == ("UNAUTHORIZED", 401, None, None)
    [line] = lines()
    assert line.split(" | ")[1:5] == ["UNAUTHORIZED", response.json["request_id"], "-", "-"]


def test_anonymous_callers_get_no_validation_of_the_body(client, rows):
    responses = [
        client.post(QUICK_CLIENT, json=make_body()),
        client.post(QUICK_CLIENT, json={"wallet_address": "x"}),
        client.post(QUICK_CLIENT, data="{", content_type="text/plain"),
    ]

    assert [error_code(response) for response in responses] == ["unauthenticated"] * 3
    assert {response.json["message"] for response in responses} == {responses[0].json["message"]}
    assert rows(Client) == []


def test_authentication_rejects_a_cached_token_after_expiry(app, client, sign_in):
    header = sign_in(Role.OPERATOR)
    life = app.config["JWT_ACCESS_TOKEN_EXPIRES"].total_seconds()
    earlier = client.get(ME, headers=header)

    with time_machine.travel(time.time() + life + app.config["JWT_DECODE_LEEWAY"] + 1):
        later = client.get(ME, headers=header)

    assert earlier.status_code == 200
    assert (later.status_code, error_code(later)) == (401, "token_expired")


def test_authentication_caches_the_token_but_checks_the_session_each_time(client, sign_in):
    header = sign_in(Role.OPERATOR)
    auth._decode.cache_clear()

    statuses = [client.get(ME, headers=header).status_code for _ in range(3)]
    cache = auth._decode.cache_info()
    client.post("/api/auth/logout", headers=header)

    assert statuses == [200] * 3
    assert (cache.hits, cache.misses) == (2, 1)
    assert error_code(client.get(ME, headers=header)) == "token_revoked"


EMAIL = "desk@desk.local"
SECRETS = ["Ahx3oothaiG2ae6eeph3ief4vahz7ohd", "ohP4chee7ooxaezei3ahJ6ohlai2Lahz"]


@pytest.fixture
def instances(variant):
    """Clients of two instances while the secret key changes: each accepts the other's."""
    return [
        variant(SECRET_KEY=ours, SECRET_KEY_FALLBACKS=[theirs]).test_client()
        for ours, theirs in (SECRETS, SECRETS[::-1])
    ]


def test_tokens_of_another_instance_are_valid_while_the_secret_key_changes(app, instances):
    old, new = instances
    with app.app_context():
        make_admin(email=EMAIL)
        db.session.commit()

    tokens = old.post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD}).json
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    renew = {"Authorization": f"Bearer {tokens['refresh_token']}"}

    assert [client.get(ME, headers=header).status_code for client in (old, new, old)] == [200] * 3
    assert new.post("/api/auth/refresh", headers=renew).status_code == 200


def test_token_of_another_key_is_invalid(instances, sign_in):
    header = sign_in(Role.OPERATOR)

    statuses = [client.get(ME, headers=header).status_code for client in instances]

    assert statuses == [401, 401]


def test_forms_of_another_instance_are_valid_while_the_secret_key_changes(app, instances):
    old, new = instances
    with app.app_context():
        make_admin(email=EMAIL)
        db.session.commit()
    browser = Browser(old.application)
    browser.get("/admin/login")

    browser.client.application = new.application
    signed_in = browser.post("/admin/login", email=EMAIL, password=PASSWORD)

    assert signed_in.status_code == 303
    browser.client.application = old.application
    assert browser.get("/admin/account").status_code == 200
