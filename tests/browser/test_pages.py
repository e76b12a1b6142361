import re
from collections import deque
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipelabs.models import Role
from tests.browser.pages import NARROW, WIDE, ZOOMED, axe_violations

MAX_PAGES = 140
MAX_SHIFT = 0.01
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)[0-9]+|(?<=/exchanges/)[a-z0-9]+")
LINKS = "[...document.links].map((link) => link.href)"
LAYOUT = """() => {
  const isUnnamed = (item) => !item.labels?.length && !item.ariaLabel
    && !item.getAttribute("aria-labelledby") && !item.textContent.trim();
  const isCut = (item) => {
    const cell = item.closest("td");
    const room = parseFloat(getComputedStyle(cell).paddingRight) - 1;
    const end = cell.getBoundingClientRect().right - room;
    return item.checkVisibility() && item.getBoundingClientRect().right > end;
  };
  const isWider = (list) => list.scrollWidth > list.clientWidth;
  const controls = document.querySelectorAll(
    "input:not([type=hidden]), select, textarea, button");
  const headings = [...document.querySelectorAll("h1")];
  return {
    width: document.documentElement.scrollWidth,
    shift: layoutShift,
    moved: [...layoutMoved].join(", "),
    title: document.title,
    headings: headings.filter((heading) => heading.checkVisibility()).length,
    unnamed: [...controls].filter(isUnnamed).map((item) => item.outerHTML),
    cut: [...document.querySelectorAll("td :is(time, .badge, .tag)")].filter(isCut)
      .map((item) => item.textContent),
    scrolled: [...document.querySelectorAll(".table-scroll")].filter(isWider)
      .map((list) => list.ariaLabel),
  };
}"""
"""The figures of a page in one call, because each call takes some 15 ms."""
IS_WIDER = """document.documentElement.scrollWidth > innerWidth
  || [...document.querySelectorAll(".table-scroll:has(.cards)")]
    .some((list) => list.scrollWidth > list.clientWidth)"""
WIDTHS_AND_THEMES = [
    pytest.param(WIDE, "light", id="wide-light"),
    pytest.param(NARROW, "dark", id="narrow-dark"),
]


def shape(url):
    """Return what pages of one kind have in common: the path without ids, and the parameters."""
    parts = urlsplit(url)
    # The list that a page was opened from changes nothing but the way back.
    names = {name for name, _ in parse_qsl(parts.query)} - {"list"}
    return IDS.sub("…", parts.path), tuple(sorted(names))


def crawl(page):
    """Visit one page of each kind that the console links to, and yield its URL."""
    queue, seen = deque(["/admin/"]), {shape("/admin/")}
    while queue:
        url = queue.popleft()
        response = page.goto(url)
        assert response.status == 200, url
        yield url
        for link in page.evaluate(LINKS):
            parts = urlsplit(link)
            url = parts._replace(scheme="", netloc="", fragment="").geturl()
            is_same_host = parts.netloc == urlsplit(page.url).netloc
            is_console = is_same_host and parts.path.startswith("/admin")
            if is_console and shape(url) not in seen and len(seen) < MAX_PAGES:
                seen.add(shape(url))
                queue.append(url)


def find_problems(page, width):
    """Return a message for each problem of the page."""
    layout = page.evaluate(LAYOUT)
    problems = []
    if layout["width"] > width:
        problems.append("it is wider than the screen")
    if layout["shift"] > MAX_SHIFT:
        problems.append(f"its layout shifted by {layout['shift']:.3f}: {layout['moved']}")
    if not layout["title"] or layout["headings"] != 1:
        problems.append("it has no title, or not one h1")
    problems += [f"cut: {text}" for text in layout["cut"]]
    if width == WIDE["width"]:
        problems += [f"wider than the page: {name}" for name in layout["scrolled"]]
    return problems + [f"without a name: {control}" for control in layout["unnamed"]]


def find_problems_at(page, width):
    """Return a message if the page, or its list of cards, is too wide for a window of this size."""
    before = page.viewport_size
    page.set_viewport_size(width)
    is_wider = page.evaluate(IS_WIDER)
    page.set_viewport_size(before)
    return [f"it is wider than a screen of {width['width']} px"] if is_wider else []


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.VIEWER])
def test_pages_of_a_role_have_no_layout_faults(pages, role, record_property):
    page = pages.open(role)

    problems = {
        url: find_problems(page, WIDE["width"]) + find_problems_at(page, NARROW)
        for url in crawl(page)
    }

    record_property("pages", len(problems))
    assert {url: messages for url, messages in problems.items() if messages} == {}


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize(("width", "theme"), WIDTHS_AND_THEMES)
def test_pages_of_an_owner_are_accessible(pages, width, theme, record_property):
    page, problems, checked = pages.open(Role.OWNER, width, theme), {}, set()

    for url in crawl(page):
        problems[url] = find_problems(page, width["width"]) + find_problems_at(page, ZOOMED)
        # axe checks each page once, not again for another sort order.
        path, _ = shape(url)
        if path not in checked:
            checked.add(path)
            # Themes differ only in colours.
            problems[url] += axe_violations(page, ["color-contrast"] if theme == "dark" else None)

    record_property("pages", len(problems))
    assert {url: messages for url, messages in problems.items() if messages} == {}


@pytest.mark.parametrize(("width", "theme"), WIDTHS_AND_THEMES)
@pytest.mark.parametrize("url", ["/admin/login", "/admin/nothing"])
def test_pages_of_anonymous_callers_are_accessible(pages, url, width, theme):
    page = pages.open(width=width, theme=theme)

    page.goto(url)

    assert find_problems(page, width["width"]) + axe_violations(page) == []
