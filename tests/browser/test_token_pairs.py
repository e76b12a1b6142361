import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import WITH_AND_WITHOUT_SCRIPTS, axe_violations, wait_for_text
from tests.browser.test_clients import create
from tests.factories import make_wallet


@pytest.fixture
def open_page(pages):
    """Return a function that opens a page as an operator, with or without scripts."""
    return lambda **options: pages.open(Role.OPERATOR, **options)


@WITH_AND_WITHOUT_SCRIPTS
def test_add_markets_to_a_client_and_pause_one(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    name = f"Quoted {scripts}"
    create(page, name, make_wallet())
    wait_for_text(page, f"{name} created.")
    page.get_by_role("link", name="Add markets").first.click()

    page.get_by_label("Pairs").fill("BTC/USDT\nWHAT\neth-usdt")
    page.get_by_role("checkbox", name="OKX").check()
    page.get_by_label("Spread target").fill("12.5")
    page.get_by_role("button", name="Add markets").click()
    wait_for_text(page, "Line 2: Put a slash between base and quote")
    if scripts:
        assert axe_violations(page) == []
    page.get_by_label("Pairs").fill("BTC/USDT\neth-usdt")
    page.get_by_role("button", name="Add markets").click()

    wait_for_text(page, "2 markets added.")
    page.get_by_role("link", name="Edit BTC/USDT on okx").click()
    page.get_by_label("Status").select_option("paused")
    page.get_by_role("button", name="Save").click()
    wait_for_text(page, "BTC/USDT on OKX saved.")
    expect(page.get_by_role("row", name="BTC/USDT").locator(".badge-warn")).to_have_count(1)
    page.get_by_role("link", name="Overview").click()
    wait_for_text(page, "1 paused")
    expect(page.locator(".entry").first).to_contain_text("operator paused BTC/USDT on OKX")


@WITH_AND_WITHOUT_SCRIPTS
def test_delist_market_shows_its_clients_and_list_it_again(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    page.goto("/admin/markets")
    page.get_by_role("searchbox", name="Search").fill("xrp-usdt")
    page.get_by_label("Exchange").select_option("gate" if scripts else "okx")
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**q=xrp-usdt**")
    rows = page.locator("#markets tbody tr")
    rows.nth(1).wait_for(state="detached")
    rows.get_by_role("link").first.click()
    page.get_by_role("link", name="Change status").click()

    wait_for_text(page, "Alder Peak Trading")
    page.get_by_role("button", name="Delist market").click()
    wait_for_text(page, "is now delisted.")
    page.get_by_role("link", name="Change status").click()
    page.get_by_role("button", name="List market again").click()

    wait_for_text(page, "is now trading.")
    expect(page.locator("tbody .badge").first).to_have_text("delisted")
