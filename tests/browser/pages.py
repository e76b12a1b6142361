"""Pages in a real Chromium that record the errors of the browser."""

import re
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect, sync_playwright

from pipelabs.models import Role
from tests.browser import chromium
from tests.paths import ROOT
from tests.waiting import TIMEOUT_S

AXE = (ROOT / "tests/vendor/axe-core/axe.min.js").read_text()
expect.set_options(timeout=TIMEOUT_S * 1_000)
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
ZOOMED = {"width": 720, "height": 450}
"""What a wide window has room for at a zoom of 200 %."""
WITH_AND_WITHOUT_SCRIPTS = pytest.mark.parametrize(
    "scripts", [True, False], ids=["scripts", "plain"]
)
WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
window.layoutShift = 0;
window.layoutMoved = new Set();
const describe = ({ node }) =>
  node?.nodeType === 1 ? [node.localName, ...node.classList].join(".") : node?.nodeName;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries().filter((entry) => !entry.hadRecentInput)) {
    window.layoutShift += entry.value;
    for (const source of entry.sources) layoutMoved.add(describe(source));
  }
}).observe({ type: "layout-shift", buffered: true });
"""
RUN_AXE = """async (rules) => (await axe.run(rules ? { runOnly: rules } : {})).violations.map(
  ({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`)"""
EXPECTED_ERROR = re.compile(r"Failed to load resource: .* status of 4\d\d")
"""What Chromium logs for a console page with a 4xx status, such as a form with errors."""


def wait_for_text(page, text):
    page.get_by_text(text).first.wait_for()


@contextmanager
def browser():
    """Run a Chromium until the block ends. Raise `Unavailable` if there is none."""
    program = chromium.find()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(**program.options())
        try:
            yield running
        finally:
            running.close()


class Pages:
    """Pages of a service. Each page has separate cookies, or those of a signed-in role."""

    def __init__(self, browser, base_url, passwords):
        self.errors = []
        self._browser, self._base_url, self._passwords = browser, base_url, passwords
        self._contexts, self._states = [], {}

    def open(self, role=None, width=WIDE, theme="light", **options):
        """Return an empty page, signed in as `role` if given."""
        context = self._browser.new_context(
            base_url=self._base_url,
            locale="en-US",
            color_scheme=theme,
            viewport=width,
            reduced_motion="reduce",
            storage_state=self._cookies_of(role) if role else None,
            **options,
        )
        context.set_default_timeout(TIMEOUT_S * 1_000)
        context.add_init_script(WATCH)
        context.on("console", self._record_error)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        self._contexts.append(context)
        return context.new_page()

    def sign_in(self, page, role=Role.OWNER):
        """Submit the sign-in form on the page."""
        page.get_by_label("Email").fill(f"{role}@desk.local")
        page.get_by_label("Password").fill(self._passwords[role])
        page.get_by_role("button", name="Sign in").click()

    def close(self):
        """Close all pages."""
        while self._contexts:
            self._contexts.pop().close()

    def _cookies_of(self, role):
        """Return the cookies of the role after signing in once."""
        if role not in self._states:
            page = self.open()
            page.goto("/admin/login")
            self.sign_in(page, role)
            page.wait_for_url("**/admin/")
            self._states[role] = page.context.storage_state()
            self._contexts.pop().close()
        return self._states[role]

    def _record_error(self, message):
        if message.type not in {"error", "warning"}:
            return
        url = message.location["url"]
        if not (EXPECTED_ERROR.match(message.text) and "/admin" in url):
            self.errors.append(f"{message.text} ({url}, line {message.location['lineNumber']})")


def axe_violations(page, rules=None):
    """Return the axe rules that the page violates, and where; `rules` limits the check."""
    page.wait_for_load_state()
    page.evaluate(AXE)
    return page.evaluate(RUN_AXE, rules)
