import re

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.approvals import review
from tests.browser.pages import NARROW, WITH_AND_WITHOUT_SCRIPTS, axe_violations, wait_for_text
from tests.factories import make_wallet
from tests.stub_exchange import Scenario, credentials

COUNT_SUBMISSIONS = """window.sent = 0;
addEventListener("submit", (event) => {
  if (!event.defaultPrevented) window.sent += 1;
  event.preventDefault();
})"""
"""Counts submissions without sending them."""
RESTORE = '() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))'
"""What a browser does with a page that it has kept."""


@pytest.fixture
def open_page(pages):
    """Return a function that opens a page as a role, with or without scripts."""
    return lambda role=Role.OPERATOR, **options: pages.open(role, **options)


def create_client(page, name):
    page.goto("/admin/clients/new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Wallet address").fill(make_wallet())
    page.get_by_role("button", name="Create client").click()
    wait_for_text(page, f"{name} created.")


def fill(page, slug, scenario):
    for name, text in credentials(slug, scenario).items():
        page.locator(f"#{name}").fill(text)


def open_key_form(page, client, slug):
    """Go from the list of keys to the form for a new key of the client."""
    page.goto("/admin/api-keys")
    page.get_by_role("link", name="New API key").first.click()
    page.get_by_role("searchbox", name="Client", exact=True).fill(client)
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(".choices").get_by_role("link", name=client).click()
    page.get_by_label("Exchange").select_option(slug)
    page.get_by_role("button", name="Next").click()


@WITH_AND_WITHOUT_SCRIPTS
def test_reject_add_replace_cut_over_and_roll_back_api_key(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    name = f"Keyholder {scripts}"
    create_client(page, name)

    open_key_form(page, name, "okx")
    fill(page, "okx", Scenario.WITHDRAW)
    page.get_by_role("button", name="Add key").click()
    wait_for_text(page, "Rejected: this key can withdraw.")
    expect(page.locator("#api_secret")).to_have_value("")
    if scripts:
        assert axe_violations(page) == []
    fill(page, "okx", Scenario.TRADE_ONLY)
    page.get_by_role("button", name="Add key").click()
    wait_for_text(page, "Key added: verified.")

    page.get_by_role("link", name="Replace").click()
    fill(page, "okx", Scenario.IP_BOUND)
    page.get_by_role("button", name="Add replacement").click()
    wait_for_text(page, "Replacement added: verified.")
    page.get_by_role("link", name="Cut over").click()
    page.get_by_role("button", name="Cut over").click()
    wait_for_text(page, "This key is now the live key.")
    page.get_by_role("link", name="Roll back").click()
    page.get_by_role("button", name="Roll back").click()

    wait_for_text(page, "This key is the live key again.")
    expect(page.locator("h1")).to_contain_text("••••only")


@WITH_AND_WITHOUT_SCRIPTS
def test_two_owners_accept_the_risk_of_unknown_permissions(service, pages, open_page, scripts):
    page = open_page(Role.OWNER, java_script_enabled=scripts, width=NARROW)
    name = f"Riskholder {scripts}"
    create_client(page, name)
    open_key_form(page, name, "kraken")
    fill(page, "kraken", Scenario.READ_ONLY)
    page.get_by_role("button", name="Add key").click()
    wait_for_text(page, "It is unknown whether this key can withdraw.")

    page.get_by_role("link", name="Accept risk").click()
    page.get_by_label("Reason").fill("Withdrawals are off; seen on a call.")
    page.get_by_role("button", name="Request acceptance").click()
    wait_for_text(page, "Acceptance requested.")
    if scripts:
        assert axe_violations(page) == []
    request = f"Accept the risk of kraken ••••only, {name}"
    other = review(pages, service[0], request, java_script_enabled=scripts)
    if scripts:
        assert axe_violations(other) == []
    other.get_by_role("button", name="Approve request").click()
    wait_for_text(other, "Request approved.")
    page.reload()

    wait_for_text(page, "risk accepted")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"] or not scripts


def test_api_key_form_shows_progress_and_submits_once(open_page):
    page = open_page()
    create_client(page, "Patient Capital")
    open_key_form(page, "Patient Capital", "bybit")
    fill(page, "bybit", Scenario.TRADE_ONLY)
    page.evaluate(COUNT_SUBMISSIONS)

    for _ in range(2):
        page.locator("form[data-busy] button").click(force=True)

    wait_for_text(page, "Checking with Bybit")
    assert page.evaluate("window.sent") == 1

    page.evaluate(f"({RESTORE})()")
    button = page.locator("form[data-busy] button")
    expect(button).to_have_text("Add key")
    button.click()
    assert page.evaluate("window.sent") == 2


def test_client_page_links_to_its_api_keys_and_filters_apply(open_page):
    page = open_page()
    create_client(page, "Narrow Keys")
    page.get_by_role("link", name="Keys 0").click()
    wait_for_text(page, "The desk can't trade for this client without one.")

    open_key_form(page, "Narrow Keys", "gate")
    fill(page, "gate", Scenario.TRADE_ONLY)
    page.get_by_role("button", name="Add key").click()
    wait_for_text(page, "It is unknown whether this key can withdraw.")
    page.goto("/admin/api-keys")
    page.get_by_label("Status").select_option("quarantined")
    page.get_by_label("Exchange").select_option("gate")
    page.get_by_role("button", name="Apply").click()

    page.wait_for_url(re.compile("exchange=gate"))
    expect(page.get_by_role("row").filter(has_text="Narrow Keys")).to_have_count(1)
    assert axe_violations(page) == []


def test_api_key_pages_pass_axe(open_page):
    page = open_page(Role.OWNER, theme="dark", width=NARROW)
    create_client(page, "Faultless Keys")
    open_key_form(page, "Faultless Keys", "okx")
    assert axe_violations(page) == []
    fill(page, "okx", Scenario.TRADE_ONLY)
    page.get_by_role("button", name="Add key").click()
    wait_for_text(page, "Key added: verified.")
    assert axe_violations(page) == []

    key = page.url
    for suffix in ("/edit", "/replace", "/revoke"):
        page.goto(key + suffix)
        assert axe_violations(page) == []
    page.goto("/admin/api-keys/expiring?days=365")
    assert axe_violations(page) == []
