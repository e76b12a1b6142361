"""Select rows of a list, change them at once, and undo it."""

import re

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.clicks import Clicks
from tests.browser.pages import NARROW, WIDE, WITH_AND_WITHOUT_SCRIPTS, axe_violations

CLIENTS, MARKETS = "/admin/clients", "/admin/markets"
BAR = ".bulk"


@pytest.fixture
def page(pages):
    return pages.open(Role.OPERATOR)


@pytest.fixture
def quoted(page):
    """The list of the markets of a client that is quoted in hundreds."""
    page.goto(f"{CLIENTS}?q=alder+peak")
    href = page.locator("#clients tbody a").first.get_attribute("href")
    return f"{href.partition('?')[0]}/markets"


def boxes(page):
    return page.locator("td input[type=checkbox]")


def told(page):
    return page.locator(".messages")


def test_tier_of_forty_clients_takes_five_clicks(page):
    page.goto(f"{CLIENTS}?status=active&size=50")
    number = boxes(page).count()
    clicks = Clicks(page)

    clicks.click("checkbox", "Select all on this page")
    clicks.choose("Change", "Tier: Enterprise")
    clicks.click("button", "Preview change")
    apply = page.get_by_role("button", name=re.compile(r"Change \d+ clients"))
    clicks.number += 1
    apply.click()

    assert number >= 40
    assert clicks.number <= 5
    expect(told(page)).to_contain_text(re.compile(r"\d\d clients were changed\."))
    expect(page).to_have_url(f"{CLIENTS}?status=active&size=50")
    page.get_by_role("button", name="Undo").click()
    expect(told(page)).to_contain_text(re.compile(r"\d\d clients were changed back\."))
    expect(page).to_have_url(f"{CLIENTS}?status=active&size=50")


def test_pausing_twelve_of_three_hundred_markets_takes_four_clicks_after_the_filter(page, quoted):
    page.goto(f"{quoted}?exchange=binance&status=active")
    number = boxes(page).count()
    clicks = Clicks(page)

    clicks.click("checkbox", "Select all on this page")
    expect(page.locator(BAR)).to_contain_text(f"{number} markets selected")
    clicks.click("button", "Pause")
    clicks.click("button", f"Pause {number} markets")

    assert number >= 10
    assert clicks.number <= 4
    expect(told(page)).to_contain_text(f"{number} markets were paused.")
    expect(page).to_have_url(f"{quoted}?exchange=binance&status=active")
    expect(boxes(page)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(told(page)).to_contain_text(f"{number} markets were changed back.")
    expect(boxes(page)).to_have_count(number)


def test_all_that_match_the_filters_are_changed(page, quoted):
    page.goto(f"{quoted}?status=active&size=25")
    page.get_by_role("checkbox", name="Select all on this page").click()
    every = page.get_by_role("checkbox", name="All that match")

    every.check()
    expect(page.locator(BAR)).to_contain_text("All selected")
    boxes(page).first.uncheck()
    expect(every).not_to_be_checked()
    every.check()
    page.get_by_label("Change", exact=True).select_option("bot:both")
    page.get_by_role("button", name="Preview change").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Change the bot to both")
    assert page.locator("tbody tr").count() > 50


def test_rows_are_selected_with_the_keyboard_and_in_ranges(page, quoted):
    page.goto(quoted)
    expect(page.locator(BAR)).to_be_hidden()

    boxes(page).nth(1).focus()
    page.keyboard.press("Space")
    expect(page.locator(BAR)).to_contain_text("1 market selected")
    boxes(page).nth(1).click()
    boxes(page).nth(1).click()
    boxes(page).nth(4).click(modifiers=["Shift"])
    expect(page.locator(BAR)).to_contain_text("4 markets selected")
    page.get_by_label("Change", exact=True).select_option("spread_target_bps")
    page.get_by_label("Value").fill("33")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Change the spread target (bps) to 33"
    )
    expect(page.locator("tbody tr")).to_have_count(4)


def test_search_keeps_the_selection_bar_working(page):
    page.goto(MARKETS)
    page.get_by_role("searchbox", name="Search").press_sequentially("eth-usdt")
    page.wait_for_url("**q=eth-usdt**")
    expect(page.locator("#markets tbody tr").first).to_contain_text("ETH/USDT")

    boxes(page).first.check()
    page.get_by_role("button", name="Halt").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Halt markets")
    page.get_by_role("link", name="Back to the list").click()
    expect(page).to_have_url(re.compile("q=eth-usdt"))


def test_undo_is_offered_for_ten_seconds_unless_it_is_about_to_be_pressed(page, quoted):
    page.clock.install()
    page.goto(f"{quoted}?exchange=bybit")
    page.locator("#quoted").get_by_role("link", name=re.compile("^Edit")).first.click()
    page.get_by_label("Spread target").fill("77")
    page.get_by_role("button", name="Save").click()
    undo = page.get_by_role("button", name="Undo")

    expect(undo).to_be_visible()
    page.clock.run_for(9_000)
    expect(undo).to_be_visible()
    undo.focus()
    page.clock.run_for(3_000)
    expect(undo).to_be_visible()
    page.get_by_role("link", name="Add markets").focus()
    page.clock.run_for(3_000)

    expect(undo).to_have_count(0)


def test_saving_a_market_shows_its_row_again(page, quoted):
    page.goto(f"{quoted}?status=active&size=50")
    page.get_by_role("link", name=re.compile("^Edit")).nth(40).click()
    page.get_by_label("Daily volume target").fill("4711")
    page.get_by_role("button", name="Save").click()

    expect(page).to_have_url(re.compile(r"status=active&size=50#row-"))
    row = page.locator("tr:target")
    expect(row).to_be_in_viewport()
    expect(row).to_contain_text("4,711")
    page.get_by_role("button", name="Undo").click()
    expect(told(page)).to_contain_text("1 market was changed back.")


@WITH_AND_WITHOUT_SCRIPTS
def test_value_is_asked_for_on_the_next_page(pages, quoted, scripts):
    page = pages.open(Role.OPERATOR, java_script_enabled=scripts)
    page.goto(f"{quoted}?exchange=okx&status=active")
    boxes(page).nth(0).check()
    boxes(page).nth(1).check()

    page.get_by_label("Change", exact=True).select_option("daily_volume_target")
    page.get_by_role("button", name="Preview change").click()
    expect(page.get_by_text("Enter the daily volume target.")).to_be_visible()
    page.get_by_label("Daily volume target").fill("-5")
    page.get_by_role("button", name="Preview change").click()
    expect(page.get_by_text("Must be plain digits")).to_be_visible()
    page.get_by_label("Daily volume target").fill("120000")
    page.get_by_role("button", name="Preview change").click()
    page.get_by_role("button", name="Change 2 markets").click()

    expect(told(page)).to_contain_text("2 markets were changed.")
    expect(page).to_have_url(f"{quoted}?exchange=okx&status=active")
    undo = page.get_by_role("button", name="Undo")
    if scripts:
        undo.click()
        expect(told(page)).to_contain_text("2 markets were changed back.")
    else:
        expect(undo).to_be_hidden()


def test_relisting_resumes_the_clients_that_were_active(page):
    page.goto(f"{MARKETS}?q=btc-usdt&status=trading")
    page.locator("#markets tbody a").first.click()
    page.get_by_role("link", name="Change status").click()
    page.get_by_role("button", name="Delist market").click()
    expect(told(page)).to_contain_text("is now delisted.")

    page.get_by_role("link", name="Change status").click()
    page.get_by_role("checkbox", name=re.compile("Resume the")).check()
    page.get_by_role("button", name="List market again").click()

    expect(told(page)).to_contain_text("quoted there again.")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW], ids=["wide", "narrow"])
def test_lists_with_a_selection_and_their_previews_are_accessible(pages, quoted, theme, width):
    page = pages.open(Role.OWNER, width=width, theme=theme)
    for path in (CLIENTS, quoted, MARKETS, "/admin/exchanges", "/admin/api-keys", "/admin/admins"):
        page.goto(path)
        boxes(page).nth(1).check()
        expect(page.locator(BAR)).to_be_visible()
        assert axe_violations(page) == [], path
        if path == quoted:
            page.get_by_label("Change", exact=True).select_option("spread_target_bps")
            assert axe_violations(page) == [], path
            page.get_by_role("button", name="Preview change").click()
        elif path == CLIENTS:
            page.get_by_label("Change", exact=True).select_option("status:offboarded")
            page.get_by_role("button", name="Preview change").click()
        else:
            page.locator(".bulk button[name=act]").first.click()
        expect(page.get_by_role("link", name=re.compile("Back to the list|Cancel"))).to_be_visible()
        assert axe_violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width["width"], path


def test_message_with_undo_is_accessible(page):
    page.goto(f"{CLIENTS}?q=ravenna")
    page.locator("#clients tbody a").first.click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Notes").fill("Undo this")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert axe_violations(page) == []
    page.get_by_role("button", name="Undo").click()
    expect(told(page)).to_contain_text("1 client was changed back.")
