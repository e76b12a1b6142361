"""A service with the demo, one Chromium a module; what a page complains about fails its test."""

import json
import os

import pytest

from pipelabs.models import Role
from tests import servers
from tests.browser.npm import Unavailable
from tests.browser.pages import Pages, browser
from tests.factories import make_vault_keys
from tests.instances import RAISED, fleet

servers.require()


@pytest.fixture(scope="session")
def service(tmp_path_factory, worker_id, stub):
    """Run the production application with the demo; yield it and each role's password.

    The exchanges that it asks are played by a stub.
    """
    folder = tmp_path_factory.mktemp("console")
    settings = RAISED | {
        "ENVIRONMENT": "local",
        "EXCHANGE_BASE_URL": stub.base_url,
        "VAULT_KEYS": make_vault_keys(),
    }
    with fleet(f"console_{worker_id}", folder, instances=1, **settings) as running:
        demo = json.loads(running.flask("seed", "demo", "--json"))
        yield running, {Role(one["role"]): one["password"] for one in demo["admins"]}


@pytest.fixture(scope="module")
def every_page(service):
    """Open pages; no longer than a module, for Playwright keeps the thread's event loop."""
    running, passwords = service
    try:
        with browser() as started:
            yield Pages(started, f"http://127.0.0.1:{running.ports[0]}", passwords)
    except Unavailable as reason:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"Browser tests need a browser: {reason.code}")
        pytest.skip(str(reason.code))


@pytest.fixture
def pages(every_page):
    """Open pages; at the end none of them may have complained."""
    yield every_page
    every_page.close()
    complaints, every_page.complaints = every_page.complaints, []
    assert complaints == []
