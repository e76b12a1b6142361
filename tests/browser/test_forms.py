"""What a browser does with forms: repeat, restore and go back."""

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import WITH_AND_WITHOUT_SCRIPTS
from tests.factories import make_wallet

NEW_TOKEN = "/admin/account/tokens/new"


@pytest.fixture
def open_form(pages):
    """Return a function that fills in the form of an API token."""

    def fill(scripts, name):
        page = pages.open(Role.VIEWER, java_script_enabled=scripts)
        page.goto(NEW_TOKEN)
        page.get_by_label("Name").fill(name)
        page.get_by_label("self.read").check()
        return page

    return fill


@WITH_AND_WITHOUT_SCRIPTS
def test_new_token_is_made_once_and_shown_until_done(open_form, scripts):
    name = f"Restored {scripts}"
    page = open_form(scripts, name)
    page.get_by_role("button", name="Create token").dblclick()
    page.wait_for_url("**/admin/secrets/*")
    secret = page.locator(".once code").text_content()

    page.reload()
    expect(page.locator(".once code")).to_have_text(secret)
    page.goto("/admin/clients")
    page.go_back()
    expect(page.locator(".once code")).to_have_text(secret)
    page.get_by_role("button", name="Done").click()

    expect(page.get_by_role("cell", name=name, exact=True)).to_have_count(1)
    page.go_back()
    expect(page.get_by_text("This secret is no longer shown.")).to_be_visible()


@WITH_AND_WITHOUT_SCRIPTS
def test_back_to_a_denied_form_shows_it_with_the_entries(pages, scripts):
    page = pages.open(Role.OPERATOR, java_script_enabled=scripts)
    page.goto("/admin/clients/new")
    page.get_by_label("Name").fill("Going Back")
    page.get_by_label("Wallet address").fill("0xnothing")
    page.get_by_role("button", name="Create client").click()
    page.locator(".errors").first.wait_for()

    page.get_by_label("Wallet address").fill(make_wallet())
    page.get_by_role("button", name="Create client").click()
    expect(page.get_by_role("heading", level=1, name="Going Back")).to_be_visible()
    page.go_back()

    expect(page.get_by_role("heading", level=1, name="New client")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Going Back")


@WITH_AND_WITHOUT_SCRIPTS
def test_entries_are_kept_when_the_session_has_ended(pages, scripts):
    page = pages.open(java_script_enabled=scripts)
    page.goto("/admin/clients/new")
    pages.sign_in(page, Role.OPERATOR)
    page.get_by_label("Name").fill("Kept Capital")
    page.get_by_label("Notes").fill("Two lines\nof notes")
    page.get_by_label("Wallet address").fill(make_wallet())
    page.context.clear_cookies()

    page.get_by_role("button", name="Create client").click()
    expect(page.get_by_role("status")).to_contain_text("Your session has ended.")
    pages.sign_in(page, Role.OPERATOR)
    expect(page.get_by_role("status")).to_contain_text("Check your entries")
    expect(page.get_by_label("Notes")).to_have_value("Two lines\nof notes")
    page.get_by_role("button", name="Create client").click()

    expect(page.get_by_role("heading", level=1, name="Kept Capital")).to_be_visible()


def open_asking(pages):
    """Return the form of a new client, and the dialogs that it shows. They are dismissed."""
    page, asked = pages.open(Role.OPERATOR), []

    def dismiss(dialog):
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.goto("/admin/clients/new")
    return page, asked


def test_form_with_entries_is_not_left_without_asking(pages):
    page, asked = open_asking(pages)
    page.get_by_label("Name").press_sequentially("Heron")

    page.get_by_role("link", name="Coverage").click()

    expect(page.get_by_label("Name")).to_have_value("Heron")
    assert asked == ["beforeunload"]


def test_form_that_is_sent_asks_nothing(pages):
    page, asked = open_asking(pages)
    page.get_by_label("Name").press_sequentially("Heron")
    page.get_by_label("Wallet address").press_sequentially(make_wallet())

    page.get_by_role("button", name="Create client").click()

    expect(page.get_by_role("heading", level=1, name="Heron")).to_be_visible()
    assert asked == []
