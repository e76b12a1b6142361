"""Every route is called by every role, and only those with its permission may use it."""

import pytest

from pipelabs.models import Role
from pipelabs.web.operation import ADMIN_API_PATH, CONSOLE_PATH, is_below, registry

RAISED_LIMITS = {f"RATELIMIT_{name}": "5000/second" for name in ("CREATE", "GENERAL", "CONSOLE")}
VALUES = {"uuid": "31113ba9-d54f-4b34-8877-19e7dc1b7084", "int": 7, "string": "okx"}
KINDS = {"UUIDConverter": "uuid", "IntegerConverter": "int", "UnicodeConverter": "string"}
MIN_PAGES = 25


@pytest.fixture
def browser(variant, console):
    """Return a function that signs in as a role, with raised limits."""

    def sign_in_as(role):
        browser = console(role, email=f"{role}@desk.local")
        browser.client.application = variant(**RAISED_LIMITS)
        return browser

    return sign_in_as


def routes(app, prefix):
    """Yield method, URL and permission of every route below `prefix` that needs a permission."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        permission = registry(app)[rule.endpoint].permission
        if permission is None or not is_below(rule.rule, prefix):
            continue
        kinds = {
            name: KINDS[type(converter).__name__] for name, converter in rule._converters.items()
        }
        url = adapter.build(rule.endpoint, {name: VALUES[kind] for name, kind in kinds.items()})
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield method, url, permission


@pytest.mark.parametrize("role", Role)
def test_api_routes_allow_exactly_the_permissions_of_the_role(app, variant, sign_in, role):
    client, headers = variant(**RAISED_LIMITS).test_client(), sign_in(role, email="who@desk.local")

    for method, url, permission in routes(app, ADMIN_API_PATH):
        response = client.open(url, method=method, headers=headers)
        assert (response.status_code == 403) is (permission not in role.permissions), url
        assert response.status_code < 500, url


@pytest.mark.parametrize("role", Role)
def test_console_routes_allow_exactly_the_permissions_of_the_role(app, browser, role):
    signed_in = browser(role)
    skipped = {"/admin/logout", "/admin/account/sessions/end-others"}

    called = [route for route in routes(app, CONSOLE_PATH) if route[1] not in skipped]
    for method, url, permission in called:
        signed_in.get("/admin/account")
        response = signed_in.get(url) if method == "GET" else signed_in.post(url)
        assert (response.status_code == 403) is (permission not in role.permissions), url
        assert response.status_code < 500, url
    assert len(called) > MIN_PAGES


def test_guarded_routes_deny_anonymous_callers(app, client):
    for method, url, _ in routes(app, ADMIN_API_PATH):
        assert client.open(url, method=method).status_code == 401, url
    for method, url, _ in routes(app, CONSOLE_PATH):
        response = client.open(url, method=method)
        assert response.status_code == 303, url
        assert response.location.startswith("/admin/login"), url
