import re

import pytest

from pipelabs.models import Role
from tests.browser.pages import axe_violations
from tests.factories import make_wallet

BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])


@pytest.fixture
def desk(pages):
    """Return an opener of pages of an operator, with or without scripts."""
    return lambda **options: pages.open(Role.OPERATOR, **options)


def create(page, name, wallet):
    page.goto("/admin/clients/new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Wallet address").fill(wallet)
    page.get_by_role("button", name="Create client").click()


def rows(page):
    return page.locator("#clients tbody tr")


def said(page, text):
    page.get_by_text(text).first.wait_for()


@BOTH
def test_a_client_is_created_found_and_suspended(desk, scripts):
    page = desk(java_script_enabled=scripts)
    name = f"Fresh {scripts}"
    create(page, name, make_wallet())
    said(page, f"{name} created.")

    page.goto("/admin/clients")
    page.get_by_label("Search").fill(name.upper())
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**q=FRESH**")
    rows(page).get_by_role("link", name=name).click()
    page.get_by_role("link", name="Change status").click()
    page.get_by_role("button", name="Suspend client").click()

    said(page, f"{name} is now suspended.")
    assert "by operator@desk.local" in page.locator(".timeline li").first.inner_text()


@BOTH
def test_the_slower_of_two_tabs_chooses_field_by_field(desk, scripts):
    page = desk(java_script_enabled=scripts)
    create(page, f"Tabs {scripts}", make_wallet())
    page.get_by_role("link", name="Edit").click()
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_label("Name").fill(f"Theirs {scripts}")
    other.get_by_role("button", name="Save").click()
    said(other, f"Theirs {scripts} saved.")

    page.get_by_label("Notes").fill("mine\nin two lines")
    page.get_by_role("button", name="Save").click()
    page.get_by_label("Theirs").first.check()
    page.get_by_label(re.compile("Mine.*mine", re.DOTALL)).check()
    if scripts:
        assert axe_violations(page) == []
    page.get_by_role("button", name="Save").click()

    said(page, f"Theirs {scripts} saved.")
    assert "mine\nin two lines" in page.locator(".facts").inner_text()


def test_filters_swap_the_list_alone_and_stay_in_the_address(desk):
    page = desk()
    page.goto("/admin/clients")
    search = page.get_by_label("Search")
    search.fill("kestrel")
    page.wait_for_url("**q=kestrel**")
    rows(page).nth(1).wait_for(state="detached")
    page.get_by_label("Status").select_option("offboarded")
    said(page, "No results")

    assert search.input_value() == "kestrel"
    assert page.url.endswith("/admin/clients?q=kestrel&status=offboarded&size=50")
    page.reload()
    said(page, "No results")
    page.get_by_role("link", name="Clear search and filters").click()
    assert rows(page).nth(49).is_visible()


def test_a_column_turns_round_by_the_keyboard(desk):
    page = desk()
    page.goto("/admin/clients?q=capital")

    page.get_by_role("link", name="Name").press("Enter")
    page.wait_for_url("**sort=name**")
    first = rows(page).first.inner_text()
    page.get_by_role("link", name="Name").press("Enter")
    page.wait_for_url("**sort=-name**")

    assert page.get_by_role("columnheader", name="Name").get_attribute("aria-sort") == "descending"
    assert rows(page).last.inner_text() == first
    assert "q=capital" in page.url


def test_a_wallet_is_told_as_it_is_typed_and_a_duplicate_leads_to_who_has_it(desk):
    page = desk()
    wallet = make_wallet()
    create(page, "Holder", wallet)
    said(page, "Holder created.")
    page.goto("/admin/clients/new")
    field = page.get_by_label("Wallet address")

    field.press_sequentially(wallet[:-1])
    said(page, "this has 39 digits")
    field.press_sequentially(wallet[-1])
    said(page, "because it is not in mixed case")
    said(page, "Already used by Holder.")
    page.get_by_label("Name").fill("Second")
    page.get_by_role("button", name="Create client").click()

    said(page, "This wallet address is already used by Holder.")
    assert axe_violations(page) == []
    page.get_by_role("link", name="Holder").first.click()
    page.wait_for_url("**/admin/clients/*-*")
