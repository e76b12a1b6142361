import re

import pytest
from playwright.sync_api import Request, expect

from pipelabs.models import Role
from tests.factories import make_wallet

MAX_FIRST_LOAD = 50_000
"""Bytes on the wire of everything that the first page loads."""


@pytest.fixture(params=[True, False], ids=["scripts", "no-scripts"])
def scripts(request):
    """Whether JavaScript is enabled."""
    return request.param


@pytest.fixture
def page(pages, scripts):
    """A page opened as an operator."""
    return pages.open(Role.OPERATOR, java_script_enabled=scripts)


def create(page, name, wallet=None):
    """Submit the form of a new client."""
    page.goto("/admin/clients")
    page.get_by_role("link", name="New client").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Wallet address").fill(wallet or make_wallet())
    page.get_by_role("button", name="Create client").click()


def heading(page, name):
    return page.get_by_role("heading", level=1, name=name)


def test_sign_in_returns_to_the_requested_page(pages, scripts):
    page = pages.open(java_script_enabled=scripts)
    page.goto("/admin/clients?size=25")

    page.get_by_label("Email").fill("viewer@desk.local")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    pages.sign_in(page, Role.VIEWER)

    expect(heading(page, "Clients")).to_be_visible()
    expect(page).to_have_url("/admin/clients?size=25")


def test_create_client_with_a_taken_wallet_links_to_its_client(page):
    wallet = make_wallet()

    create(page, "Rockpool Capital", wallet)
    expect(heading(page, "Rockpool Capital")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("Rockpool Capital created")
    create(page, "Rockpool again", wallet)

    expect(heading(page, "New client")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Rockpool again")
    page.get_by_role("main").get_by_role("link", name="Rockpool Capital").first.click()
    expect(heading(page, "Rockpool Capital")).to_be_visible()


def test_create_client_shows_the_error_beside_the_wallet_field(page):
    create(page, "Rockpool Capital", "0x123")

    field = page.get_by_label("Wallet address")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#{field.get_attribute('id')}-errors")).to_be_visible()


def test_client_search_matches_part_of_the_name(page, scripts):
    page.goto("/admin/clients")

    page.get_by_role("searchbox", name="Search").fill("ravenna")
    if not scripts:
        page.get_by_role("button", name="Apply").click()

    rows = page.get_by_role("main").get_by_role("table").locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("q=ravenna"))
    rows.get_by_role("link", name="Ravenna Liquidity").click()
    expect(heading(page, "Ravenna Liquidity")).to_be_visible()


def test_stale_edit_shows_both_versions_to_choose_from(page):
    create(page, "Twofold Markets")
    page.get_by_role("link", name="Edit").click()
    stale = page.context.new_page()
    stale.goto(page.url)

    for tab, notes in ((page, "From the first tab"), (stale, "From the second tab")):
        tab.get_by_label("Notes").fill(notes)
        tab.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("saved.")
    expect(stale.get_by_role("radio", name="From the first tab")).to_be_visible()
    stale.get_by_role("radio", name="From the second tab").check()
    stale.get_by_role("button", name="Save").click()

    expect(heading(stale, "Twofold Markets")).to_be_visible()
    expect(stale.get_by_role("main")).to_contain_text("From the second tab")


def test_pause_client_shows_the_change_in_its_activity(page):
    create(page, "Pausing Partners")

    page.get_by_role("link", name="Change status").click()
    page.get_by_role("button", name="Pause client").click()

    expect(page.get_by_role("status")).to_contain_text("Pausing Partners is now paused")
    told = page.get_by_role("region", name="Activity").get_by_role("listitem").first
    expect(told).to_contain_text("operator paused Pausing Partners, active → paused")


def test_palette_search_opens_a_client(pages):
    page = pages.open(Role.VIEWER)
    page.goto("/admin/")

    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog")
    palette.get_by_role("combobox").fill("ravenna")
    expect(palette.get_by_role("option", name="Ravenna Liquidity").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")

    expect(heading(page, "Ravenna Liquidity")).to_be_visible()


def test_palette_closes_on_escape(pages):
    page = pages.open(Role.VIEWER)
    page.goto("/admin/")

    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()


def test_theme_is_remembered(page):
    page.goto("/admin/clients")

    page.get_by_role("button", name="Dark").click()
    expect(heading(page, "Clients")).to_be_visible()
    other = page.context.new_page()
    other.goto("/admin/")

    for tab in (page, other):
        expect(tab.locator("html")).to_have_attribute("data-theme", "dark")
        expect(tab.locator("body")).to_have_css("color-scheme", "dark")


def test_sign_out_ends_the_session(pages, scripts):
    page = pages.open(java_script_enabled=scripts)
    page.goto("/admin/login")
    pages.sign_in(page, Role.VIEWER)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.goto("/admin/clients")

    expect(heading(page, "Sign in")).to_be_visible()


def test_session_ended_on_another_device_requires_sign_in(pages, scripts):
    first, second = (pages.open(java_script_enabled=scripts) for _ in range(2))
    for page in (second, first):
        page.goto("/admin/account")
        pages.sign_in(page, Role.OWNER)

    # The session seen last is the first row, and the other one the second.
    first.get_by_role("row").nth(2).get_by_role("button", name="End").click()
    expect(first.get_by_text("Session ended.")).to_be_visible()
    second.goto("/admin/clients?status=active")
    expect(heading(second, "Sign in")).to_be_visible()
    pages.sign_in(second, Role.OWNER)

    assert second.url.endswith("/admin/clients?status=active")


def test_first_page_load_is_small(pages, record_property):
    page = pages.open(Role.OWNER)
    requests: list[Request] = []

    def record(request):
        requests.append(request)

    page.on("requestfinished", record)

    page.goto("/admin/clients", wait_until="networkidle")

    sizes = {request.url: request.sizes()["responseBodySize"] for request in requests}
    record_property("kB", round(sum(sizes.values()) / 1000))
    assert len(sizes) > 4
    assert sum(sizes.values()) <= MAX_FIRST_LOAD, sizes
