"""A client's pages: the list one came from, the tabs, and onboarding."""

import re

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import NARROW, WIDE, WITH_AND_WITHOUT_SCRIPTS, axe_violations
from tests.factories import make_wallet

TABS = ("Overview", "Markets", "Keys", "Activity")
CRUMBS = "Breadcrumb"


def tab(page, name):
    return page.locator(".client-tabs").get_by_role("link", name=re.compile(name))


def open_first_of(page, path):
    """Open the first client of a list."""
    page.goto(path)
    page.get_by_role("main").locator("tbody td.main-cell a").first.click()


@WITH_AND_WITHOUT_SCRIPTS
def test_list_is_worked_through_without_going_back_to_it(pages, scripts):
    page = pages.open(Role.OPERATOR, java_script_enabled=scripts)
    page.goto("/admin/clients?status=active&sort=name")
    names = page.locator("tbody td.main-cell").all_inner_texts()[:3]
    page.get_by_role("link", name=names[0], exact=True).click()
    crumbs = page.get_by_role("navigation", name=CRUMBS)

    expect(crumbs).to_contain_text(re.compile(r"Clients\s*/\s*active\s*1 of \d+"))
    tab(page, "Activity").click()
    crumbs.get_by_role("link", name="Next client").click()
    crumbs.get_by_role("link", name="Next client").click()

    expect(page.get_by_role("heading", level=1, name=names[2])).to_be_visible()
    expect(crumbs).to_contain_text("3 of")
    expect(tab(page, "Activity")).to_have_attribute("aria-current", "page")
    crumbs.get_by_role("link", name="Previous client").click()
    expect(page.get_by_role("heading", level=1, name=names[1])).to_be_visible()
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("link", name="Cancel").click()
    expect(crumbs).to_contain_text("2 of")
    crumbs.get_by_role("link", name="active").click()
    expect(page).to_have_url("/admin/clients?status=active&sort=name")


def test_markets_filter_keeps_the_list_that_one_came_from(pages):
    page = pages.open(Role.VIEWER)
    open_first_of(page, "/admin/clients?q=alder")
    tab(page, "Markets").click()
    page.wait_for_load_state()

    page.get_by_label("Status").select_option("paused")
    page.wait_for_url("**status=paused**")
    expect(page.locator("#quoted")).to_be_visible()
    page.reload()

    expect(page.get_by_role("navigation", name=CRUMBS)).to_contain_text("“alder” 1 of")


@pytest.mark.parametrize(("width", "theme"), [(WIDE, "light"), (NARROW, "dark")])
def test_tabs_of_a_client_are_accessible_and_fit(pages, width, theme):
    page = pages.open(Role.OPERATOR, width, theme)
    open_first_of(page, "/admin/clients?q=alder+peak")

    for name in TABS:
        tab(page, name).click()
        expect(tab(page, name)).to_have_attribute("aria-current", "page")
        assert axe_violations(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width["width"], name
    tab(page, "Overview").click()
    page.get_by_role("link", name="API view").click()
    expect(page.get_by_role("group", name="Answer")).to_contain_text('"success": true')
    assert axe_violations(page) == []


def test_wallet_is_copied_and_its_explorer_opens_elsewhere(pages):
    page = pages.open(Role.VIEWER, permissions=["clipboard-read", "clipboard-write"])
    open_first_of(page, "/admin/clients?q=alder+peak")

    page.locator(".client-chip").get_by_role("button", name="Copy the wallet address").click()

    expect(page.locator("[data-announcement]")).to_have_text("Copied.")
    wallet = page.evaluate("navigator.clipboard.readText()")
    link = page.get_by_role("link", name="Etherscan")
    expect(link).to_have_attribute("href", f"https://etherscan.io/address/{wallet}")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(link).to_have_attribute("target", "_blank")


@WITH_AND_WITHOUT_SCRIPTS
def test_new_client_is_onboarded_step_by_step(pages, scripts):
    page = pages.open(Role.OPERATOR, java_script_enabled=scripts)
    name = f"Onboarded {scripts}"
    page.goto("/admin/clients/new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Wallet address").fill(make_wallet())
    page.get_by_role("button", name="Create and onboard").click()
    step = page.get_by_role("region", name="Choose exchanges")
    expect(step).to_contain_text("open")
    page.get_by_role("link", name="Choose exchanges and add pairs").click()
    page.get_by_role("checkbox", name="OKX").check()
    page.get_by_role("textbox").first.fill("BTC/USDT\nETH/USDT")
    page.get_by_role("button", name="Add markets").click()

    tab(page, "Overview").click()
    panel = page.get_by_role("region", name="Onboarding")
    expect(panel).to_contain_text("1 exchange lacks one")
    panel.get_by_role("link", name="Continue onboarding").click()
    expect(page.get_by_role("region", name="Add pairs")).to_contain_text("done")
    page.get_by_role("link", name="Add key on OKX").click()
    expect(page.get_by_role("heading", level=1, name="New OKX key")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="The rest is not needed").click()
    page.get_by_label("Reason").fill("Quoted from another desk.")
    page.get_by_role("button", name="End onboarding").click()

    expect(page.get_by_role("status")).to_contain_text("Onboarding ended.")
    expect(panel).to_have_count(0)
    expect(page.locator(".client-notice")).to_contain_text("Quoted on OKX without a key.")
    if scripts:
        assert axe_violations(page) == []
