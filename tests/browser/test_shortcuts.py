"""Shortcuts of single keys: where they lead, when they do nothing, and how to turn them off."""

import re

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import WITH_AND_WITHOUT_SCRIPTS

CLIENTS = "/admin/clients"


@pytest.fixture
def page(pages):
    page = pages.open(Role.OPERATOR)
    page.goto(CLIENTS)
    return page


def shortcuts(page):
    return page.get_by_role("dialog", name="Keyboard shortcuts")


def link(page, row):
    return page.locator("#clients tbody tr").nth(row).locator(".main-cell a")


def press(page, *keys):
    # The script of a page runs when its heading is visible already.
    page.wait_for_load_state()
    for key in keys:
        page.keyboard.press(key)


def test_slash_focuses_the_search_of_a_list_or_opens_the_palette(page):
    press(page, "/")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    page.goto("/admin/")
    press(page, "/")

    expect(page.get_by_role("dialog", name="Find anything")).to_be_visible()
    expect(page.get_by_role("combobox", name="Find anything")).to_have_value("")


def test_keys_move_over_rows_select_and_open_one(page):
    press(page, "k")
    expect(link(page, 0)).to_be_focused()
    press(page, "j", "j", "k")
    expect(link(page, 1)).to_be_focused()
    assert link(page, 1).evaluate("(link) => link.matches(':focus-visible')")
    style = link(page, 1).evaluate("(link) => getComputedStyle(link).outlineStyle")
    assert style == "solid"
    press(page, "x")
    expect(page.locator("[data-selected-count]")).to_have_text("1 client selected")
    expect(link(page, 1)).to_be_focused()
    press(page, "x")
    expect(page.locator("[data-selected-count]")).to_have_text("")
    name = link(page, 1).inner_text()
    press(page, "o")

    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def test_enter_opens_the_row_and_e_its_form(page):
    press(page, "j")
    name = link(page, 0).inner_text()
    press(page, "Enter")
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    press(page, "e")

    expect(page).to_have_url(re.compile(r"/edit(\?|$)"))


@pytest.mark.parametrize("path", ["/admin/", "/admin/coverage", "/admin/audit", "/admin/markets"])
def test_rows_of_every_list_can_be_reached(page, path):
    page.goto(path)
    press(page, "j")
    first = page.evaluate("document.activeElement.outerHTML")
    press(page, "j")

    assert page.evaluate("document.activeElement.localName") == "a"
    assert page.evaluate("document.activeElement.outerHTML") != first


def test_letters_in_a_field_are_text(page):
    page.goto(f"{CLIENTS}/new")
    field = page.get_by_label("Name")
    field.focus()
    page.keyboard.type("jkxoe g c / ?")

    expect(field).to_have_value("jkxoe g c / ?")
    expect(page).to_have_url(re.compile(f"{CLIENTS}/new$"))
    expect(shortcuts(page)).to_be_hidden()


@pytest.mark.parametrize("key", ["Control+j", "Alt+j", "Meta+j", "z", "x", "o", "e"])
def test_other_keys_do_nothing(page, key):
    press(page, key)

    expect(page).to_have_url(re.compile(f"{CLIENTS}$"))
    assert page.evaluate("document.activeElement === document.body")


def test_keys_do_nothing_behind_a_dialog(page):
    press(page, "?")
    expect(shortcuts(page)).to_be_visible()
    press(page, "j", "g", "d", "Control+k")

    expect(page).to_have_url(re.compile(f"{CLIENTS}$"))
    expect(page.get_by_role("dialog", name="Find anything")).to_be_hidden()
    press(page, "Escape")
    expect(shortcuts(page)).to_be_hidden()


def test_dialog_lists_every_place_and_each_key_leads_there(pages):
    page = pages.open(Role.OWNER)
    page.goto("/admin/")
    press(page, "?")
    places = shortcuts(page).locator("[data-href]")
    listed = places.evaluate_all("(all) => all.map(({ dataset }) => [dataset.keys, dataset.href])")
    assert ["g c", CLIENTS] in listed
    assert (
        len(listed) == page.get_by_role("navigation", name="Sections").get_by_role("link").count()
    )
    press(page, "Escape")

    for keys, href in listed:
        press(page, *keys.split())
        expect(page).to_have_url(re.compile(f"{re.escape(href)}$"))


def test_first_key_of_two_is_forgotten_after_another(page):
    press(page, "g", "j", "c")

    expect(page).to_have_url(re.compile(f"{CLIENTS}$"))


@WITH_AND_WITHOUT_SCRIPTS
def test_shortcuts_can_be_turned_off_in_the_account(pages, scripts):
    page = pages.open(Role.OPERATOR, java_script_enabled=scripts)
    page.goto("/admin/account")
    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_role("status")).to_contain_text(
        "Keyboard shortcuts are off in this browser."
    )
    if scripts:
        page.goto(CLIENTS)
        press(page, "?", "j", "g", "d")
        expect(page).to_have_url(re.compile(f"{CLIENTS}$"))
        press(page, "Control+k")
        expect(page.get_by_role("dialog", name="Find anything")).to_be_visible()
        page.goto("/admin/account")

    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("button", name="Turn off")).to_be_visible()
