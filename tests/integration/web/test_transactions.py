"""Each request commits once, except for a short list of cases."""

from pipelabs.models import Role
from pipelabs.web.operation import SAFE_METHODS, registry
from tests.factories import PASSWORD, QUICK_CLIENT, make_body

RAISED_LIMITS = {f"RATELIMIT_{name}": "5000/second" for name in ("CREATE", "GENERAL", "CONSOLE")}
VALUES = {"uuid": "31113ba9-d54f-4b34-8877-19e7dc1b7084", "int": 7, "string": "okx"}
KINDS = {"UUIDConverter": "uuid", "IntegerConverter": "int", "UnicodeConverter": "string"}
THROTTLED = {"api.auth.login", "api.auth.change_password"}
"""They count the attempt in a separate transaction before they check the password."""


def routes(app, prefix):
    """Yield endpoint, method, URL and rule of every route of the API or the console."""
    adapter = app.url_map.bind("localhost")
    for endpoint, operation in registry(app).items():
        if endpoint.startswith(prefix):
            [rule] = app.url_map.iter_rules(endpoint)
            kinds = {
                name: KINDS[type(converter).__name__]
                for name, converter in rule._converters.items()
            }
            values = {name: VALUES[kind] for name, kind in kinds.items()}
            yield endpoint, operation.method, adapter.build(endpoint, values), rule


def examples(app):
    """Return the example body of each operation of the API, by method and path."""
    paths = app.test_client().get("/api/openapi.json").json["paths"]
    return {
        (method, path): operation["requestBody"]["content"]["application/json"]["example"]
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }


def test_api_request_commits_at_most_once(app, variant, sign_in, commits):
    other = variant(**RAISED_LIMITS)
    client, bodies = other.test_client(), examples(app)
    statuses = {}

    for number, (endpoint, method, url, rule) in enumerate(routes(app, "api.")):
        headers = sign_in(Role.OWNER, email=f"owner{number}@desk.local")
        path = rule.rule.replace("<uuid:", "{").replace("<string:", "{").replace("<int:", "{")
        body = bodies.get((method.lower(), path.replace(">", "}")))
        commits()
        response = client.open(url, method=method, headers=headers, json=body)
        expected = 0 if method in SAFE_METHODS else 1 + (endpoint in THROTTLED)
        assert commits() == expected, (endpoint, response.status_code)
        statuses[response.status_code] = endpoint

    assert {200, 201, 404} <= set(statuses)


def test_console_request_commits_at_most_once(app, console, variant, commits):
    browser = console(Role.OWNER, email="owner@desk.local")
    browser.client.application = variant(**RAISED_LIMITS)
    skipped = {"admin.auth.sign_in", "admin.auth.logout", "admin.account.change_password"}

    for endpoint, method, url, _ in routes(app, "admin."):
        if endpoint in skipped:
            continue
        browser.get("/admin/account")
        commits()
        response = browser.get(url) if method == "GET" else browser.post(url)
        expected = {0} if method == "GET" else {0, 1}
        assert commits() in expected, (endpoint, response.status_code)


def test_idempotent_create_and_its_replay_commit_once_each(client, operator, commits):
    headers = operator | {"Idempotency-Key": "first"}
    commits()

    for body in (make_body(), make_body(), make_body(email=None)):
        client.post(QUICK_CLIENT, json=body, headers=headers)
        assert commits() == 1


def test_refresh_token_reuse_ends_the_session_in_a_separate_commit(app, client, console, commits):
    console(Role.VIEWER, email="viewer@desk.local")
    body = {"email": "viewer@desk.local", "password": PASSWORD}
    token = client.post("/api/auth/login", json=body).json["refresh_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    client.post("/api/auth/refresh", headers=bearer)
    commits()

    client.post("/api/auth/refresh", headers=bearer)

    assert commits() == 2
