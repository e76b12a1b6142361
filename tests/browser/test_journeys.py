import gzip
import re

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.factories import make_wallet

FIRST_LOAD = 250_000
"""Bytes, compressed, of everything that a first page needs."""


@pytest.fixture(params=[True, False], ids=["scripts", "no-scripts"])
def scripts(request):
    """Whether the browser runs JavaScript."""
    return request.param


@pytest.fixture
def page(pages, scripts):
    """A page of an operator's."""
    return pages.open(Role.OPERATOR, java_script_enabled=scripts)


def create(page, name, wallet=None):
    """Fill in and send the form of a new client."""
    page.goto("/admin/clients")
    page.get_by_role("link", name="New client").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Wallet address").fill(wallet or make_wallet())
    page.get_by_role("button", name="Create client").click()


def heading(page, name):
    return page.get_by_role("heading", level=1, name=name)


def test_whoever_signs_in_goes_on_to_where_he_was_going(pages, scripts):
    page = pages.open(java_script_enabled=scripts)
    page.goto("/admin/clients?size=25")

    page.get_by_label("Email").fill("viewer@desk.local")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    pages.sign_in(page, Role.VIEWER)

    expect(heading(page, "Clients")).to_be_visible()
    assert page.url.endswith("/admin/clients?size=25")


def test_a_client_is_created_and_a_second_one_of_its_wallet_leads_there(page):
    wallet = make_wallet()

    create(page, "Rockpool Capital", wallet)
    expect(heading(page, "Rockpool Capital")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("Rockpool Capital created")
    create(page, "Rockpool again", wallet)

    expect(heading(page, "New client")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Rockpool again")
    page.get_by_role("main").get_by_role("link", name="Rockpool Capital").first.click()
    expect(heading(page, "Rockpool Capital")).to_be_visible()


def test_a_wrong_wallet_is_told_beside_its_field(page):
    create(page, "Rockpool Capital", "0x123")

    field = page.get_by_label("Wallet address")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#{field.get_attribute('id')}-errors")).to_be_visible()


def test_a_client_is_found_by_a_part_of_its_name(page, scripts):
    page.goto("/admin/clients")

    page.get_by_role("searchbox", name="Search").fill("ravenna")
    if not scripts:
        page.get_by_role("button", name="Apply").click()

    rows = page.get_by_role("main").get_by_role("table").locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("q=ravenna"))
    rows.get_by_role("link", name="Ravenna Liquidity").click()
    expect(heading(page, "Ravenna Liquidity")).to_be_visible()


def test_the_slower_of_two_tabs_sees_both_versions_and_chooses(page):
    create(page, "Twofold Markets")
    page.get_by_role("link", name="Edit").click()
    slower = page.context.new_page()
    slower.goto(page.url)

    for tab, notes in ((page, "From the first tab"), (slower, "From the second tab")):
        tab.get_by_label("Notes").fill(notes)
        tab.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("saved.")
    expect(slower.get_by_role("radio", name="From the first tab")).to_be_visible()
    slower.get_by_role("radio", name="From the second tab").check()
    slower.get_by_role("button", name="Save").click()

    expect(heading(slower, "Twofold Markets")).to_be_visible()
    expect(slower.get_by_role("main")).to_contain_text("From the second tab")


def test_a_client_is_paused_and_its_page_tells_since_when(page):
    create(page, "Pausing Partners")

    page.get_by_role("link", name="Change status").click()
    page.get_by_role("button", name="Pause client").click()

    expect(page.get_by_role("status")).to_contain_text("Pausing Partners is now paused")
    expect(page.get_by_role("list").get_by_text("Status changed")).to_be_visible()


def test_the_palette_finds_a_client_and_goes_there(pages):
    page = pages.open(Role.VIEWER)
    page.goto("/admin/")

    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog")
    palette.get_by_role("combobox").fill("ravenna")
    expect(palette.get_by_role("option", name="Ravenna Liquidity")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")

    expect(heading(page, "Ravenna Liquidity")).to_be_visible()


def test_escape_closes_the_palette(pages):
    page = pages.open(Role.VIEWER)
    page.goto("/admin/")

    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_chosen_theme_is_remembered(page):
    page.goto("/admin/clients")

    page.get_by_role("button", name="Dark").click()
    expect(heading(page, "Clients")).to_be_visible()
    other = page.context.new_page()
    other.goto("/admin/")

    for tab in (page, other):
        expect(tab.locator("html")).to_have_attribute("data-theme", "dark")
        expect(tab.locator("body")).to_have_css("color-scheme", "dark")


def test_signing_out_ends_the_session(pages, scripts):
    page = pages.open(java_script_enabled=scripts)
    page.goto("/admin/login")
    pages.sign_in(page, Role.VIEWER)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.goto("/admin/clients")

    expect(heading(page, "Sign in")).to_be_visible()


def test_a_session_that_is_ended_elsewhere_asks_to_sign_in_again(pages, scripts):
    here, there = (pages.open(java_script_enabled=scripts) for _ in range(2))
    for page in (there, here):
        page.goto("/admin/account")
        pages.sign_in(page, Role.OWNER)

    # The list has the one seen last first: this one, and then the other.
    here.get_by_role("row").nth(2).get_by_role("button", name="End").click()
    expect(here.get_by_text("Session ended.")).to_be_visible()
    there.goto("/admin/clients?status=active")
    expect(heading(there, "Sign in")).to_be_visible()
    pages.sign_in(there, Role.OWNER)

    assert there.url.endswith("/admin/clients?status=active")


def test_the_first_page_is_light(pages, record_property):
    page, sizes = pages.open(Role.OWNER), {}

    def weigh(response):
        sizes[response.url] = len(gzip.compress(response.body()))

    page.on("response", weigh)
    page.goto("/admin/clients", wait_until="networkidle")

    record_property("kB", round(sum(sizes.values()) / 1000))
    assert len(sizes) > 4
    assert sum(sizes.values()) <= FIRST_LOAD, sizes
