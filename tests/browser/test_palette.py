"""The palette by keyboard: what Enter opens, what it remembers, and what it says if it can't."""

import re

import pytest
from playwright.sync_api import Route, expect

from pipelabs.models import Role
from tests.browser.pages import NARROW, WIDE, axe_violations

PALETTE = "**/admin/palette?*"
STORED = "localStorage.getItem('pl_recent')"


@pytest.fixture
def page(pages):
    page = pages.open(Role.OPERATOR)
    page.goto("/admin/")
    return page


def open_palette(page):
    # The script of a page runs when its heading is visible already.
    page.wait_for_load_state()
    page.keyboard.press("Control+k")
    return page.get_by_role("dialog", name="Find anything")


def heading(page, name):
    return page.get_by_role("heading", level=1, name=name)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("ravenna", "Ravenna Liquidity"),
        ("coverage", "Coverage"),
        ("pause ravenna", "Change status of Ravenna Liquidity"),
        ("add markets to ravenna", re.compile("Add markets")),
        ("btc usdt okx", re.compile("BTC.USDT on okx", re.IGNORECASE)),
        ("BTC", "BTC/USDT"),
    ],
)
def test_enter_opens_the_best_match_also_right_after_typing(page, text, title):
    open_palette(page)
    page.keyboard.type(text)
    page.keyboard.press("Enter")

    expect(heading(page, title)).to_be_visible()


def test_short_form_of_a_wallet_opens_its_client(page):
    page.goto("/admin/clients?q=ravenna")
    short = page.locator(".wallet-short").first.inner_text()

    open_palette(page)
    page.keyboard.type(short.replace("…", "..."))
    page.keyboard.press("Enter")

    expect(heading(page, "Ravenna Liquidity")).to_be_visible()


def test_results_are_options_in_named_groups_and_are_announced(page):
    palette = open_palette(page)
    box = palette.get_by_role("combobox", name="Find anything")
    box.fill("ravenna")

    first = palette.get_by_role("group", name="Clients").get_by_role("option").first
    expect(first).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", first.get_attribute("id"))
    expect(box).to_have_attribute("aria-expanded", "true")
    expect(palette.get_by_role("status")).to_have_text(
        re.compile(r"\d+ results\. Ravenna Liquidity")
    )
    expect(palette.get_by_role("group", name="Actions for Ravenna Liquidity")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(palette.get_by_role("option").last).to_have_attribute("aria-selected", "true")
    box.fill("nothing is called so")
    expect(palette.get_by_role("status")).to_contain_text("No matches for “nothing is called so”.")
    expect(box).to_have_attribute("aria-expanded", "false")


def test_recent_things_come_first_without_names_in_the_browser(page):
    page.goto("/admin/clients?q=ravenna")
    page.get_by_role("link", name="Ravenna Liquidity").click()
    heading(page, "Ravenna Liquidity").wait_for()
    # Its script remembers it.
    page.wait_for_load_state()
    page.goto("/admin/exchanges/okx")
    page.goto("/admin/")
    palette = open_palette(page)

    recent = palette.get_by_role("group", name="Recent").get_by_role("option")
    expect(recent.nth(0)).to_contain_text("OKX")
    expect(recent.nth(1)).to_contain_text("Ravenna Liquidity")
    assert "Ravenna" not in page.evaluate(STORED)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(heading(page, "Ravenna Liquidity")).to_be_visible()
    open_palette(page)
    page.keyboard.type("pause")
    page.keyboard.press("Enter")
    expect(heading(page, "Change status of Ravenna Liquidity")).to_be_visible()


def test_signing_out_forgets_recent_things(pages):
    page = pages.open()
    page.goto("/admin/login?next=/admin/exchanges/okx")
    pages.sign_in(page, Role.VIEWER)
    expect(heading(page, "OKX")).to_be_visible()
    page.wait_for_load_state()
    assert "exchange:okx" in page.evaluate(STORED)

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_label("Password")).to_be_visible()
    assert page.evaluate(STORED) is None


def test_recent_things_of_another_admin_are_forgotten(page):
    stored = '{"admin": "x", "things": ["exchange:okx"]}'
    page.evaluate("(text) => localStorage.setItem('pl_recent', text)", stored)

    page.reload()

    expect(open_palette(page).get_by_role("option").first).to_be_visible()
    assert "okx" not in page.evaluate(STORED)


@pytest.mark.parametrize("stored", ["no JSON", '{"things": 1}', "null"])
def test_damaged_memory_of_the_browser_is_ignored(page, stored):
    page.evaluate("(text) => localStorage.setItem('pl_recent', text)", stored)

    page.reload()

    expect(open_palette(page).get_by_role("option").first).to_be_visible()


def test_palette_works_in_a_browser_that_stores_nothing(pages):
    page = pages.open(Role.OPERATOR)
    page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException(); }")
    page.goto("/admin/exchanges/okx")

    expect(open_palette(page).get_by_role("option").first).to_be_visible()
    assert "okx" not in page.evaluate(STORED)


def test_failed_search_says_so_and_can_be_tried_again(pages, page):
    page.route(PALETTE, lambda route: route.fulfill(status=503, body="away"))
    palette = open_palette(page)

    expect(palette.get_by_text("The search failed.").last).to_be_visible()
    expect(palette.get_by_role("status")).to_have_text("The search failed.")
    with page.expect_response(PALETTE):
        page.keyboard.press("Enter")
    # Enter searches again, and would open what is found if that succeeded.
    page.unroute(PALETTE)
    palette.get_by_role("button", name="Try again").click()

    expect(palette.get_by_role("option").first).to_be_visible()
    pages.errors.clear()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(429, "Too many searches. Wait a moment."), (403, "You don't have access to the search.")],
)
def test_denied_search_says_why(pages, page, status, sentence):
    page.route(PALETTE, lambda route: route.fulfill(status=status, body=""))

    expect(open_palette(page).get_by_text(sentence).last).to_be_visible()
    pages.errors.clear()


def test_text_that_is_not_allowed_is_explained_in_place(page):
    palette = open_palette(page)

    palette.get_by_role("combobox").fill("x" * 256)

    expect(palette.get_by_text("Must have at most 255 characters.").last).to_be_visible()


def test_slow_search_shows_that_it_is_busy(page):
    waiting: list[Route] = []

    def hold(route):
        waiting.append(route)

    page.route(PALETTE, hold)
    palette = open_palette(page)

    expect(palette.locator(".palette-found")).to_have_attribute("aria-busy", "true")
    waiting[0].continue_()

    expect(palette.get_by_role("option").first).to_be_visible()
    expect(palette.locator(".palette-found")).to_have_attribute("aria-busy", "false")


@pytest.mark.parametrize("width", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_palette_and_shortcuts_are_accessible(pages, width, theme):
    page = pages.open(Role.OWNER, width, theme)
    page.goto("/admin/clients")
    palette = open_palette(page)
    palette.get_by_role("combobox").fill("alder")
    expect(palette.get_by_role("group", name="Clients")).to_be_visible()

    assert axe_violations(page) == []
    palette.get_by_role("combobox").fill("nothing is called so")
    expect(palette.get_by_text("No matches").first).to_be_attached()
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    expect(palette).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width["width"]
