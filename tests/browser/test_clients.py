import re

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import WITH_AND_WITHOUT_SCRIPTS, axe_violations, wait_for_text
from tests.factories import make_wallet


@pytest.fixture
def open_page(pages):
    """Return a function that opens a page as an operator, with or without scripts."""
    return lambda **options: pages.open(Role.OPERATOR, **options)


def create(page, name, wallet):
    page.goto("/admin/clients/new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Wallet address").fill(wallet)
    page.get_by_role("button", name="Create client").click()


def rows(page):
    return page.locator("#clients tbody tr")


@WITH_AND_WITHOUT_SCRIPTS
def test_create_find_and_suspend_client(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    name = f"Fresh {scripts}"
    create(page, name, make_wallet())
    wait_for_text(page, f"{name} created.")

    page.goto("/admin/clients")
    page.get_by_role("searchbox", name="Search").fill(name.upper())
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**q=FRESH**")
    rows(page).get_by_role("link", name=name).click()
    page.get_by_role("link", name="Change status").click()
    page.get_by_role("button", name="Suspend client").click()

    wait_for_text(page, f"{name} is now suspended.")
    expect(page.locator(".entry").first).to_contain_text(f"operator suspended {name}")


@WITH_AND_WITHOUT_SCRIPTS
def test_stale_edit_is_resolved_field_by_field(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    create(page, f"Tabs {scripts}", make_wallet())
    page.get_by_role("link", name="Edit").click()
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_label("Name").fill(f"Theirs {scripts}")
    other.get_by_role("button", name="Save").click()
    wait_for_text(other, f"Theirs {scripts} saved.")

    page.get_by_label("Name").fill(f"Mine {scripts}")
    page.get_by_label("Notes").fill("mine\nin two lines")
    page.get_by_role("button", name="Save").click()
    page.get_by_label("Theirs").check()
    if scripts:
        assert axe_violations(page) == []
    page.get_by_role("button", name="Save").click()

    wait_for_text(page, f"Theirs {scripts} saved.")
    page.wait_for_load_state()
    assert "mine\nin two lines" in page.locator(".facts").inner_text()


def test_client_filters_update_the_list_and_the_url(open_page):
    page = open_page()
    page.goto("/admin/clients")
    search = page.get_by_role("searchbox", name="Search")
    search.fill("kestrel")
    page.wait_for_url("**q=kestrel**")
    rows(page).nth(1).wait_for(state="detached")
    page.get_by_label("Status").select_option("offboarded")
    wait_for_text(page, "No results")

    expect(search).to_have_value("kestrel")
    expect(page).to_have_url("/admin/clients?q=kestrel&status=offboarded&size=50")
    page.reload()
    wait_for_text(page, "No results")
    page.get_by_role("link", name="Clear search and filters").click()
    expect(rows(page).nth(49)).to_be_visible()


def test_client_list_sort_order_is_reversed_by_keyboard(open_page):
    page = open_page()
    page.goto("/admin/clients?q=capital")

    header = page.get_by_role("columnheader", name="Name")
    page.get_by_role("link", name="Name").press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    first = rows(page).first.inner_text()
    page.get_by_role("link", name="Name").press("Enter")

    expect(header).to_have_attribute("aria-sort", "descending")
    expect(rows(page).last).to_have_text(first, use_inner_text=True)
    expect(page).to_have_url(re.compile("q=capital.*sort=-name"))


def test_wallet_check_shows_problems_and_duplicates_while_typing(open_page):
    page = open_page()
    wallet = make_wallet()
    create(page, "Holder", wallet)
    wait_for_text(page, "Holder created.")
    page.goto("/admin/clients/new")
    field = page.get_by_label("Wallet address")

    field.press_sequentially(wallet[:-1])
    wait_for_text(page, "this has 39 digits")
    field.press_sequentially(wallet[-1])
    wait_for_text(page, "because it is not in mixed case")
    wait_for_text(page, "Already used by Holder.")
    page.get_by_label("Name").fill("Second")
    page.get_by_role("button", name="Create client").click()

    wait_for_text(page, "This wallet address is already used by Holder.")
    assert axe_violations(page) == []
    page.get_by_role("link", name="Holder").first.click()
    page.wait_for_url("**/admin/clients/*-*")
