"""Pages with names that have no place to break fit a small phone, and so do the cards of lists."""

import os

import pytest

from pipelabs.models import Role
from tests.browser.test_pages import crawl
from tests.factories import make_wallet

NAME = "W" * 90
SMALL = {"width": 320, "height": 640}
WIDE_PARTS = """(width) => [...document.querySelectorAll("main *")]
  .filter((item) => item.getBoundingClientRect().right > width)
  .filter((item) => !item.closest(".table-scroll:not(:has(.cards)), .matrix, .tabs"))
  .map((item) => item.outerHTML.slice(0, 120)).slice(0, 3)"""

WIDE_CARDS = """[...document.querySelectorAll(".table-scroll:has(.cards)")]
  .some((list) => list.scrollWidth > list.clientWidth)"""


@pytest.fixture
def named(machines, pages):
    """Let there be a client, a market and machines whose names are one long word."""
    page = pages.open(Role.OWNER)
    page.goto("/admin/clients/new")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Wallet address").fill(make_wallet())
    page.get_by_label("Email").fill(f"{os.urandom(8).hex() * 4}@{'example' * 6}.com")
    page.get_by_label("Notes").fill("N" * 500)
    page.get_by_role("button", name="Create client").click()
    page.get_by_role("heading", level=1, name=NAME).wait_for()
    href = page.url
    page.goto(f"{href}/markets/add")
    page.get_by_label("Pairs").fill(f"{'A' * 24}/{'B' * 24}")
    page.get_by_label("OKX", exact=True).check()
    page.get_by_role("button", name="Add markets").click()
    page.get_by_text("1 market added.").wait_for()
    page.goto("/admin/machines/new")
    page.get_by_label("Name").fill("m" * 64)
    page.get_by_role("button").get_by_text("Invite machine").click()
    page.get_by_role("button", name="Done").click()
    return href


def test_pages_with_long_names_fit_a_small_phone(pages, named):
    page, problems = pages.open(Role.OWNER, SMALL), {}
    first = [
        named,
        f"{named}/edit",
        f"{named}/status",
        f"{named}/markets",
        f"{named}/markets/add",
        f"/admin/api-keys/new?q={NAME[:9]}",
        f"/admin/stops/new?scope=client&q={NAME[:9]}",
        f"/admin/clients?q={NAME[:9]}",
        f"/admin/coverage?q={NAME[:9]}",
    ]
    for url in first:
        page.goto(url)
        problems[url] = find_width(page)
    for url in crawl(page):
        problems[url] = find_width(page)

    assert {url: found for url, found in problems.items() if found} == {}


def find_width(page):
    """Return what makes the page wider than the screen, or a list of cards wider than its place."""
    if page.evaluate(WIDE_CARDS):
        return page.evaluate(WIDE_PARTS, SMALL["width"])
    width = page.evaluate("document.documentElement.scrollWidth")
    return [width, *page.evaluate(WIDE_PARTS, SMALL["width"])] if width > SMALL["width"] else []
