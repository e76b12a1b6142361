"""What a browser does with forms: repeat, restore and go back."""

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import WITH_AND_WITHOUT_SCRIPTS

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

    expect(page.get_by_role("cell", name=name)).to_have_count(1)
    page.go_back()
    expect(page.get_by_text("This secret is no longer shown.")).to_be_visible()
