"""Every route, asked by every role: whoever lacks the permission gets in nowhere."""

import pytest

from pipelabs.models import Role
from pipelabs.web.operation import registry
from pipelabs.web.paths import ADMIN_API_PATH, CONSOLE_PATH, is_below

RAISED = {f"RATELIMIT_{one}": "5000/second" for one in ("CREATE", "GENERAL", "CONSOLE")}
VALUES = {"uuid": "31113ba9-d54f-4b34-8877-19e7dc1b7084", "int": 7, "string": "okx"}
KINDS = {"UUIDConverter": "uuid", "IntegerConverter": "int", "UnicodeConverter": "string"}
PAGES_AT_LEAST = 25


@pytest.fixture
def browser(variant, console):
    """Return a maker of browsers that are signed in as a role, with raised limits."""

    def signed_in(role):
        browser = console(role, email=f"{role}@desk.local")
        browser.client.application = variant(**RAISED)
        return browser

    return signed_in


def routes(app, prefix):
    """Yield method, address and permission of every guarded route below `prefix`."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        permission = registry(app)[rule.endpoint].permission
        if permission is None or not is_below(rule.rule, prefix):
            continue
        kinds = {name: KINDS[type(one).__name__] for name, one in rule._converters.items()}
        address = adapter.build(rule.endpoint, {name: VALUES[kind] for name, kind in kinds.items()})
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield method, address, permission


@pytest.mark.parametrize("role", Role)
def test_the_api_lets_a_role_do_what_it_may_and_nothing_else(app, variant, sign_in, role):
    client, headers = variant(**RAISED).test_client(), sign_in(role, email="who@desk.local")

    for method, address, permission in routes(app, ADMIN_API_PATH):
        answer = client.open(address, method=method, headers=headers)
        assert (answer.status_code == 403) is (permission not in role.permissions), address
        assert answer.status_code < 500, address


@pytest.mark.parametrize("role", Role)
def test_pages_let_a_role_do_what_it_may_and_nothing_else(app, browser, role):
    who = browser(role)
    last = {"/admin/logout", "/admin/account/sessions/end-others"}

    asked = [one for one in routes(app, CONSOLE_PATH) if one[1] not in last]
    for method, address, permission in asked:
        who.get("/admin/account")
        answer = who.get(address) if method == "GET" else who.post(address)
        assert (answer.status_code == 403) is (permission not in role.permissions), address
        assert answer.status_code < 500, address
    assert len(asked) > PAGES_AT_LEAST


def test_a_stranger_gets_in_nowhere(app, client):
    for method, address, _ in routes(app, ADMIN_API_PATH):
        assert client.open(address, method=method).status_code == 401, address
    for method, address, _ in routes(app, CONSOLE_PATH):
        answer = client.open(address, method=method)
        assert answer.status_code == 303, address
        assert answer.location.startswith("/admin/login"), address
