"""A service with demo data and one Chromium per module. Browser errors fail the test."""

import os

import pytest

from pipelabs.models import Role
from tests import servers
from tests.browser.demo import serve_demo
from tests.browser.machines import add_machines
from tests.browser.npm import Unavailable
from tests.browser.pages import Pages, browser

servers.require()


@pytest.fixture(scope="session")
def service(worker_id):
    """Run the service with demo data and stub exchanges; yield it and each role's password."""
    with serve_demo(f"console_{worker_id}") as running:
        yield running


@pytest.fixture(scope="session")
def machines(service):
    """Let there be machines, grants, leases, stops and requests."""
    running, passwords = service
    add_machines(running, passwords[Role.OWNER])


@pytest.fixture(scope="module")
def module_pages(service):
    """Yield a `Pages`. It lives for one module, because Playwright occupies the thread's loop."""
    running, passwords = service
    try:
        with browser() as chromium:
            yield Pages(chromium, f"http://127.0.0.1:{running.ports[0]}", passwords)
    except Unavailable as reason:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"Browser tests need a browser: {reason.code}")
        pytest.skip(str(reason.code))


@pytest.fixture
def pages(module_pages):
    """Yield the `Pages` of the module; fail the test if the browser reported an error."""
    yield module_pages
    module_pages.close()
    errors, module_pages.errors = module_pages.errors, []
    assert errors == []
