import re
from collections import deque
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipelabs.models import Role
from tests.browser.pages import NARROW, WIDE, axe_violations

MOST = 90
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)[0-9]+|(?<=/exchanges/)[a-z0-9]+")
LINKS = "[...document.links].map((link) => link.href)"
CONTROLS = "input:not([type=hidden]), select, textarea, button"
UNNAMED = """(controls) => controls.filter((one) => !one.labels?.length && !one.ariaLabel
  && !one.getAttribute("aria-labelledby") && !one.textContent.trim()).map((one) => one.outerHTML)"""
LOOKS = [
    pytest.param(WIDE, "light", id="wide-light"),
    pytest.param(NARROW, "dark", id="narrow-dark"),
]


def shape(address):
    """Return what pages of one kind have in common: the path without ids, and what is asked."""
    parts = urlsplit(address)
    return IDS.sub("…", parts.path), tuple(sorted(name for name, _ in parse_qsl(parts.query)))


def crawl(page):
    """Visit one page of each kind that the console links to, and yield its address."""
    waiting, seen = deque(["/admin/"]), {shape("/admin/")}
    while waiting:
        address = waiting.popleft()
        response = page.goto(address)
        assert response.status == 200, address
        yield address
        for link in page.evaluate(LINKS):
            parts = urlsplit(link)
            address = parts._replace(scheme="", netloc="", fragment="").geturl()
            is_ours = parts.netloc == urlsplit(page.url).netloc and parts.path.startswith("/admin")
            if is_ours and shape(address) not in seen and len(seen) < MOST:
                seen.add(shape(address))
                waiting.append(address)


def faults(page, width):
    """Return what is wrong with the page that is shown, a sentence each."""
    found = []
    if page.evaluate("document.documentElement.scrollWidth") > width:
        found.append("it is wider than the screen")
    if (shifted := page.evaluate("shifted")) >= 0.02:
        found.append(f"its layout shifted by {shifted:.3f}")
    if not page.title() or page.get_by_role("heading", level=1).count() != 1:
        found.append("it has no title, or not one h1")
    return found + [
        f"without a name: {one}" for one in page.locator(CONTROLS).evaluate_all(UNNAMED)
    ]


def faults_at(page, width):
    """Return what is wrong with the page that is shown once the window has another width."""
    before = page.viewport_size
    page.set_viewport_size(width)
    is_wider = page.evaluate("document.documentElement.scrollWidth") > width["width"]
    page.set_viewport_size(before)
    return ["it is wider than a screen of another size"] if is_wider else []


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.VIEWER])
def test_no_page_that_a_role_can_reach_has_a_fault(pages, role, record_property):
    page = pages.open(role)

    found = {
        address: faults(page, WIDE["width"]) + faults_at(page, NARROW) for address in crawl(page)
    }

    record_property("pages", len(found))
    assert {address: wrong for address, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_no_page_of_an_owner_has_a_fault_even_for_those_who_cannot_see_or_point(
    pages, width, theme, record_property
):
    page, found, checked = pages.open(Role.OWNER, width, theme), {}, set()

    for address in crawl(page):
        found[address] = faults(page, width["width"])
        # A list in another order breaks what it breaks in this one.
        path, _ = shape(address)
        if path not in checked:
            checked.add(path)
            # Only colours differ by theme.
            found[address] += axe_violations(page, ["color-contrast"] if theme == "dark" else None)

    record_property("pages", len(found))
    assert {address: wrong for address, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(("width", "theme"), LOOKS)
@pytest.mark.parametrize("address", ["/admin/login", "/admin/nothing"])
def test_no_page_of_a_stranger_has_a_fault(pages, address, width, theme):
    page = pages.open(width=width, theme=theme)

    page.goto(address)

    assert faults(page, width["width"]) + axe_violations(page) == []
