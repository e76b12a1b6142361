import re

import pytest

from pipelabs.models import Role
from tests.browser.pages import NARROW, axe_violations
from tests.factories import make_wallet
from tests.stub_exchange import Scenario, credentials

COUNT = """window.sent = 0;
addEventListener("submit", (event) => {
  if (!event.defaultPrevented) window.sent += 1;
  event.preventDefault();
})"""
"""Counts what would be sent, and keeps the page."""
BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])


@pytest.fixture
def open_page(pages):
    """Return an opener of pages of a role, with or without scripts."""
    return lambda role=Role.OPERATOR, **options: pages.open(role, **options)


def said(page, text):
    page.get_by_text(text).first.wait_for()


def create_client(page, name):
    page.goto("/admin/clients/new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Wallet address").fill(make_wallet())
    page.get_by_role("button", name="Create client").click()
    said(page, f"{name} created.")


def fill(page, slug, scenario):
    for name, text in credentials(slug, scenario).items():
        page.locator(f"#{name}").fill(text)


def begin(page, client, slug):
    """Go from the list of keys to the form of a client's new one."""
    page.goto("/admin/api-keys")
    page.get_by_role("link", name="New API key").first.click()
    page.get_by_role("searchbox", name="Client", exact=True).fill(client)
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(".choices").get_by_role("link", name=client).click()
    page.get_by_label("Exchange").select_option(slug)
    page.get_by_role("button", name="Next").click()


@BOTH
def test_a_key_is_refused_replaced_by_a_better_one_and_cut_over(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    name = f"Keyholder {scripts}"
    create_client(page, name)

    begin(page, name, "okx")
    fill(page, "okx", Scenario.WITHDRAW)
    page.get_by_role("button", name="Add key").click()
    said(page, "Rejected: this key can withdraw.")
    assert page.locator("#api_secret").input_value() == ""
    if scripts:
        assert axe_violations(page) == []
    fill(page, "okx", Scenario.TRADE_ONLY)
    page.get_by_role("button", name="Add key").click()
    said(page, "Key added: verified.")

    page.get_by_role("link", name="Replace").click()
    fill(page, "okx", Scenario.IP_BOUND)
    page.get_by_role("button", name="Add replacement").click()
    said(page, "Replacement added: verified.")
    page.get_by_role("link", name="Cut over").click()
    page.get_by_role("button", name="Cut over").click()
    said(page, "This key is now the live key.")
    page.get_by_role("link", name="Roll back").click()
    page.get_by_role("button", name="Roll back").click()

    said(page, "This key is the live key again.")
    assert "••••only" in page.locator("h1").inner_text()


@BOTH
def test_an_owner_accepts_what_nobody_knows(open_page, scripts):
    page = open_page(Role.OWNER, java_script_enabled=scripts, width=NARROW)
    name = f"Riskholder {scripts}"
    create_client(page, name)
    begin(page, name, "kraken")
    fill(page, "kraken", Scenario.READ_ONLY)
    page.get_by_role("button", name="Add key").click()
    said(page, "It is unknown whether this key can withdraw.")

    page.get_by_role("link", name="Accept risk").click()
    page.get_by_label("Reason").fill("Withdrawals are off; seen on a call.")
    page.get_by_role("button", name="Accept risk").click()

    said(page, "risk accepted")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"] or not scripts


def test_a_form_says_that_it_waits_and_is_sent_once(open_page):
    page = open_page()
    create_client(page, "Patient Capital")
    begin(page, "Patient Capital", "bybit")
    fill(page, "bybit", Scenario.TRADE_ONLY)
    page.evaluate(COUNT)

    for _ in range(2):
        page.locator("form[data-busy] button").click(force=True)

    said(page, "Checking with Bybit")
    assert page.evaluate("window.sent") == 1


def test_a_client_s_page_leads_to_its_keys_and_the_list_narrows(open_page):
    page = open_page()
    create_client(page, "Narrow Keys")
    page.get_by_role("link", name="None").click()
    said(page, "No keys match these filters.")

    begin(page, "Narrow Keys", "gate")
    fill(page, "gate", Scenario.TRADE_ONLY)
    page.get_by_role("button", name="Add key").click()
    said(page, "It is unknown whether this key can withdraw.")
    page.goto("/admin/api-keys")
    page.get_by_label("Status").select_option("quarantined")
    page.get_by_label("Exchange").select_option("gate")
    page.get_by_role("button", name="Apply").click()

    page.wait_for_url(re.compile("exchange=gate"))
    assert page.get_by_role("row").filter(has_text="Narrow Keys").count() == 1
    assert axe_violations(page) == []


def test_the_pages_of_a_key_have_no_fault_that_axe_knows(open_page):
    page = open_page(Role.OWNER, theme="dark", width=NARROW)
    create_client(page, "Faultless Keys")
    begin(page, "Faultless Keys", "okx")
    assert axe_violations(page) == []
    fill(page, "okx", Scenario.TRADE_ONLY)
    page.get_by_role("button", name="Add key").click()
    said(page, "Key added: verified.")
    assert axe_violations(page) == []

    key = page.url
    for below in ("/edit", "/replace", "/revoke"):
        page.goto(key + below)
        assert axe_violations(page) == []
    page.goto("/admin/api-keys/expiring?days=365")
    assert axe_violations(page) == []
