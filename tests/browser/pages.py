"""Pages in a real Chromium, which remember whatever the browser complains about."""

import re
from contextlib import contextmanager

from playwright.sync_api import expect, sync_playwright

from pipelabs.models import Role
from tests.browser import chromium
from tests.paths import ROOT
from tests.waiting import PATIENCE_S

AXE = (ROOT / "tests/vendor/axe-core/axe.min.js").read_text()
expect.set_options(timeout=PATIENCE_S * 1_000)
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
RUN_AXE = """async (rules) => (await axe.run(rules ? { runOnly: rules } : {})).violations.map(
  ({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`)"""
REFUSED = re.compile(r"Failed to load resource: .* status of 4\d\d")
"""What Chromium says of a page of ours that answers a wrong form with its status."""


@contextmanager
def browser():
    """Run a Chromium until the block ends; raise `Unavailable` if there is none."""
    found = chromium.find()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(**found.options())
        try:
            yield running
        finally:
            running.close()


class Pages:
    """Pages of one service; each has cookies of its own, or those of a role that signed in."""

    def __init__(self, running, address, passwords):
        self.complaints = []
        self._browser, self._address, self._passwords = running, address, passwords
        self._contexts, self._states = [], {}

    def open(self, role=None, width=WIDE, theme="light", **options):
        """Return an empty page; `role` says who is signed in."""
        context = self._browser.new_context(
            base_url=self._address,
            locale="en-US",
            color_scheme=theme,
            viewport=width,
            reduced_motion="reduce",
            storage_state=self._signed_in(role) if role else None,
            **options,
        )
        context.set_default_timeout(PATIENCE_S * 1_000)
        context.add_init_script(WATCH)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self._contexts.append(context)
        return context.new_page()

    def sign_in(self, page, role=Role.OWNER):
        """Fill in the form that is shown."""
        page.get_by_label("Email").fill(f"{role}@desk.local")
        page.get_by_label("Password").fill(self._passwords[role])
        page.get_by_role("button", name="Sign in").click()

    def close(self):
        """Close all pages."""
        while self._contexts:
            self._contexts.pop().close()

    def _signed_in(self, role):
        """Return the cookies of the role, which signs in on first use."""
        if role not in self._states:
            page = self.open()
            page.goto("/admin/login")
            self.sign_in(page, role)
            page.wait_for_url("**/admin/")
            self._states[role] = page.context.storage_state()
            self._contexts.pop().close()
        return self._states[role]

    def _hear(self, message):
        if message.type not in {"error", "warning"}:
            return
        where = message.location["url"]
        if not (REFUSED.match(message.text) and "/admin" in where):
            self.complaints.append(
                f"{message.text} ({where}, line {message.location['lineNumber']})"
            )


def axe_violations(page, rules=None):
    """Return which rules of axe the page breaks, of some or of all, and where."""
    page.evaluate(AXE)
    return page.evaluate(RUN_AXE, rules)
