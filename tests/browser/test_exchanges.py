import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import WITH_AND_WITHOUT_SCRIPTS, axe_violations, wait_for_text


@pytest.fixture
def open_page(pages):
    """Return a function that opens a page as an owner, with or without scripts."""
    return lambda **options: pages.open(Role.OWNER, **options)


@WITH_AND_WITHOUT_SCRIPTS
def test_find_configure_disable_and_enable_exchange(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    slug, name = ("bitget", "Bitget") if scripts else ("mexc", "MEXC")
    page.goto("/admin/")
    page.get_by_role("link", name="Exchanges", exact=True).click()
    page.wait_for_url("**/exchanges")
    page.get_by_role("searchbox", name="Search").fill(slug.upper())
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    page.wait_for_url(f"**q={slug.upper()}**")
    page.locator("#exchanges tbody").get_by_role("link", name=name).click()

    page.get_by_role("link", name="Configure").click()
    page.get_by_label("Maker fee (bps)").fill("--1")
    page.get_by_role("button", name="Save").click()
    wait_for_text(page, "Must be plain digits")
    if scripts:
        assert axe_violations(page) == []
    page.get_by_label("Maker fee (bps)").fill("-0.50")
    page.get_by_label("Requests per minute").fill("600")
    page.get_by_role("button", name="Save").click()
    wait_for_text(page, f"{name} saved.")
    expect(page.locator(".facts").first).to_contain_text("-0.5 bps")

    page.get_by_role("link", name="Disable").click()
    wait_for_text(page, "No market and no API key can be added there.")
    page.get_by_role("button", name="Disable exchange").click()
    wait_for_text(page, f"{name} is now disabled.")
    page.get_by_role("link", name="Enable").click()
    page.get_by_role("button", name="Enable exchange").click()
    wait_for_text(page, f"{name} is now enabled.")


def test_exchange_filters_update_the_list_and_the_url(open_page):
    page = open_page()
    page.goto("/admin/exchanges")
    search = page.get_by_role("searchbox", name="Search")
    search.fill("okex")
    page.wait_for_url("**q=okex**")
    page.locator("#exchanges tbody tr").nth(1).wait_for(state="detached")
    page.get_by_label("Status").select_option("disabled")
    wait_for_text(page, "No results")

    expect(search).to_have_value("okex")
    expect(page).to_have_url("/admin/exchanges?q=okex&is_enabled=false&size=50")
    page.get_by_role("link", name="Clear search and filters").click()
    expect(page.locator("#exchanges tbody tr").nth(49)).to_be_visible()
