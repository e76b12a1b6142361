"""An admin becomes an owner when another owner has approved it."""

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.approvals import review
from tests.browser.pages import NARROW, WITH_AND_WITHOUT_SCRIPTS, axe_violations


@pytest.fixture
def create(pages):
    """Return a function that creates an operator; it answers the page of the admin."""

    def operator(email, scripts):
        page = pages.open(Role.OWNER, width=NARROW, java_script_enabled=scripts)
        page.goto("/admin/admins/new")
        page.get_by_label("Email").fill(email)
        page.get_by_label("Role").select_option("operator")
        page.get_by_role("button", name="Create admin").click()
        password = page.locator("code.mono").first.inner_text()
        page.get_by_role("button", name="Done").click()
        return page, password

    return operator


@WITH_AND_WITHOUT_SCRIPTS
def test_two_owners_make_an_owner(service, pages, create, scripts):
    running, _ = service
    email = f"new-{scripts}@desk.local".lower()
    page, password = create(email, scripts)
    change_password(pages, email, password)

    page.get_by_role("link", name="Change role").click()
    page.get_by_label("Role").select_option("owner")
    page.get_by_role("button", name="Change role").click()
    expect(page.get_by_role("status")).to_contain_text("Owner role requested.")
    if scripts:
        assert axe_violations(page) == []
    other = review(pages, running, f"Make {email} an owner", java_script_enabled=scripts)
    other.get_by_role("button", name="Approve request").click()
    expect(other.get_by_role("status")).to_contain_text("Request approved.")

    expect(other.get_by_role("heading", level=1)).to_have_text(email)
    expect(other.get_by_role("main").locator(".summary")).to_contain_text("owner")


def change_password(pages, email, password):
    """Sign in with the one-time password and choose another one."""
    page = pages.open()
    page.goto("/admin/login")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Current password").fill(password)
    page.get_by_label("New password").fill("nine-Slow-herons-17")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_be_visible()
