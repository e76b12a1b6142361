import re

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import NARROW, WITH_AND_WITHOUT_SCRIPTS, axe_violations, wait_for_text
from tests.stub_exchange import Scenario, credentials

COVERAGE = "/admin/coverage"
CLIENT = "Alder Peak Trading"
KINDS = ("covered", "key_unusable", "no_key", "not_quoted")
LETTER = "(cell) => cell.textContent + getComputedStyle(cell, '::after').content"
STYLES = """(kinds) => kinds.map((kind) => {
  const style = getComputedStyle(document.querySelector(`td .cover-${kind}`));
  return `${style.borderTopWidth} ${style.borderTopStyle}`;
})"""
"""The border of the first cell of each kind."""


@pytest.fixture
def open_page(pages):
    """Return a function that opens a page as an operator."""
    return lambda **options: pages.open(Role.OPERATOR, **options)


def add_key(page, slug, scenario):
    for part, text in credentials(slug, scenario).items():
        # As in Coinbase's JSON file: a field of one line drops the line breaks of a PEM key.
        page.locator(f"#{part}").fill(text.replace("\n", "\\n"))
    page.get_by_role("button", name="Add key").click()
    wait_for_text(page, "Key added")


def cell(page, exchange, client=CLIENT):
    return page.get_by_label(f"{client} on {exchange}: ")


@WITH_AND_WITHOUT_SCRIPTS
def test_gap_is_found_by_filters_and_closed_by_adding_a_key(open_page, scripts):
    exchange, slug = ("KuCoin", "kucoin") if scripts else ("Coinbase", "coinbase")
    page = open_page(java_script_enabled=scripts)
    page.goto(COVERAGE)
    page.get_by_role("searchbox", name="Search").fill("alder peak")
    page.get_by_label("Exchange", exact=True).select_option(exchange)
    page.get_by_label("Show").select_option("Only gaps")
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**status=gap**")
    expect(page.locator("#coverage tbody td .cover")).to_have_count(1)

    cell(page, exchange).click()
    add_key(page, slug, Scenario.TRADE_ONLY)

    page.goto(f"{COVERAGE}?exchange={slug}&q=alder+peak")
    expect(cell(page, exchange)).to_have_class("cover cover-covered")
    cell(page, exchange).click()
    page.wait_for_url(f"**/markets?status=active&exchange={slug}")
    expect(page.locator("#quoted tbody tr").first).to_be_visible()


def test_cells_differ_by_letter_and_border_without_colours(open_page):
    page = open_page()
    page.goto(COVERAGE)
    expected = ["0px none", "1px solid", "2px solid", "1px dashed"]
    letters = {"OKX": "V", "Poloniex": "Q", "WhiteBIT": "N"}

    for media in ({}, {"forced_colors": "active"}, {"media": "print", "forced_colors": "none"}):
        page.emulate_media(**media)
        assert page.evaluate(STYLES, KINDS) == expected, media
        for exchange, letter in letters.items():
            text = cell(page, exchange).evaluate(LETTER).replace('"', "")
            assert re.fullmatch(rf"[0-9]+{letter}", text)
            expect(cell(page, exchange)).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_coverage_is_accessible_with_cells_of_every_kind(open_page, theme):
    for width in ({"width": 1440, "height": 900}, NARROW):
        page = open_page(width=width, theme=theme)
        page.goto(COVERAGE)
        for kind in KINDS:
            expect(page.locator(f"td .cover-{kind}").first).to_be_visible()
        assert axe_violations(page) == []
        page.goto(f"{COVERAGE}?status=gap")
        assert axe_violations(page) == []


def test_coverage_keeps_its_header_totals_and_first_column_visible(open_page):
    page = open_page(width={"width": 900, "height": 700})
    page.goto(COVERAGE)
    box = page.locator(".coverage")

    box.evaluate("(element) => element.scrollTo(200, 200)")

    edge = box.bounding_box()
    assert box.evaluate("(element) => [element.scrollLeft, element.scrollTop]") == [200, 200]
    first = box.locator("tbody th").first.bounding_box()
    assert abs(first["x"] - edge["x"]) <= 1
    assert abs(box.locator("thead th").first.bounding_box()["y"] - edge["y"]) <= 1
    foot = box.locator("tfoot th").bounding_box()
    inside = edge["y"] + box.evaluate("(element) => element.clientHeight")
    assert abs(foot["y"] + foot["height"] - inside) <= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 900


def test_coverage_fits_a_phone_and_hides_no_cell(open_page):
    wide, narrow = open_page(), open_page(width=NARROW)
    for page in (wide, narrow):
        page.goto(f"{COVERAGE}?q=alder+peak")
    count = wide.locator("td .cover").count()

    assert count >= 20
    assert narrow.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    cells = narrow.locator("td .cover")
    assert cells.count() == count
    for number in range(count):
        box = cells.nth(number).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= NARROW["width"]
        assert min(box["width"], box["height"]) >= 24
    narrow.get_by_role("link", name=re.compile(r"^OKX: [0-9]+ markets, 0 gaps$")).click()
    narrow.wait_for_url("**exchange=okx")


def test_coverage_is_used_by_keyboard_alone(open_page):
    page = open_page()
    page.goto(f"{COVERAGE}?q=alder+peak&exchange=okx")
    page.get_by_role("link", name="Key, not quoted").focus()
    stops = []
    for _ in range(4):
        page.keyboard.press("Tab")
        name = (
            "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
        )
        stops.append(page.evaluate(name))

    assert stops[0] == "Markets quoted per client and exchange"
    assert stops[1:3] == ["OKX", CLIENT]
    cell_name = rf"{CLIENT} on OKX: [0-9]+ markets, verified key\. Open the markets\."
    assert re.fullmatch(cell_name, stops[3])
    page.keyboard.press("Enter")
    page.wait_for_url("**/markets?status=active&exchange=okx")


def test_coverage_names_each_link_differently(open_page):
    page = open_page()
    page.goto(COVERAGE)
    names = page.locator(".coverage a").evaluate_all(
        "(links) => links.map((link) => link.getAttribute('aria-label') || link.textContent)"
    )

    assert len(names) == len(set(names)) > 100


def test_coverage_prints_every_exchange(open_page):
    page = open_page(width={"width": 794, "height": 1123})
    page.goto(f"{COVERAGE}?q=alder+peak")
    page.emulate_media(media="print")

    for box in page.locator("td .cover").all():
        edge = box.bounding_box()
        assert edge["x"] >= 0
        assert edge["x"] + edge["width"] <= 794
    assert page.locator(".coverage").evaluate("(one) => one.scrollHeight <= one.clientHeight + 1")


def test_coverage_of_a_viewer_offers_no_key(pages):
    page = pages.open(Role.VIEWER)
    page.goto(f"{COVERAGE}?q=alder+peak&exchange=whitebit")

    cell(page, "WhiteBIT").click()

    page.wait_for_url("**/markets?status=active&exchange=whitebit")
