"""A desk's day: each task with the number of actions that it takes.

Changing many rows, the auditor's export and what the palette finds are in the tests of these pages.
"""

import re

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.clicks import Clicks
from tests.browser.pages import WITH_AND_WITHOUT_SCRIPTS
from tests.factories import make_wallet
from tests.stub_exchange import Scenario, credentials


@pytest.fixture
def page(pages):
    """The Desk of an operator."""
    page = pages.open(Role.OPERATOR)
    page.goto("/admin/")
    return page


@pytest.fixture
def clicks(page):
    return Clicks(page)


@pytest.fixture
def client(page):
    """The address of a new client. The page shows it."""
    page.goto("/admin/clients/new")
    page.get_by_label("Name").fill("Kingfisher Trading")
    page.get_by_label("Wallet address").fill(make_wallet())
    page.get_by_role("button", name="Create client").click()
    heading(page, "Kingfisher Trading").wait_for()
    return page.url.partition("?")[0]


def heading(page, name):
    return page.get_by_role("heading", level=1, name=name)


def told(page):
    return page.locator(".messages")


def test_most_urgent_alert_is_one_click_from_what_mends_it(page, clicks):
    first = page.locator(".alert").first
    sentence = first.locator(".alert-sentence").inner_text()

    clicks.click("link", re.compile("^(Check|Add|Review|Replace)"), first)

    heading(page, "Desk").wait_for(state="detached")
    assert re.search("has not acknowledged|without a key", sentence)
    assert clicks.number == 1


def test_waiting_replacement_is_cut_over_from_the_desk_in_two_clicks(page, clicks):
    clicks.click("link", re.compile("^Cut over"))
    page.wait_for_url("**/cut-over")
    clicks.click("button", "Cut over")

    expect(told(page)).to_contain_text("This key is now the live key.")
    assert clicks.number == 2


def test_alert_is_snoozed_in_three_actions(page, clicks):
    alert = page.locator(".alert").filter(has_text="use the same").first
    sentence = alert.locator(".alert-sentence").inner_text()

    alert.get_by_role("link", name="Snooze").click()
    clicks.number += 1
    clicks.type("Reason", "They are one group, and know it.")
    clicks.click("button", "Snooze alert")

    expect(told(page)).to_contain_text("Snoozed for 7 days.")
    expect(page.locator("details .alert").filter(has_text=sentence)).to_have_count(1)
    assert clicks.number == 3


def test_key_that_expires_is_replaced_from_the_desk(page, clicks):
    alert = page.locator(".alert").filter(has_text=re.compile("OKX|Bybit|Coinbase|MEXC"))
    alert = alert.filter(has_text="expires in").first
    slug = alert.inner_text().split()[0].lower()

    clicks.click("link", re.compile("^Replace key"), alert)
    for name, text in credentials(slug, Scenario.TRADE_ONLY).items():
        page.locator(f"#{name}").fill(text.replace("\n", "\\n"))
        clicks.number += 1
    clicks.click("button", "Add replacement")

    expect(told(page)).to_contain_text("Replacement added")
    assert clicks.number <= 5


def test_five_exchanges_times_thirty_pairs_take_eight_actions(page, client):
    clicks = Clicks(page)
    clicks.click("link", "Add markets")
    clicks.type("Pairs", "\n".join(f"COIN{number}/USDT" for number in range(30)))
    for name in ("Binance", "Bybit", "Gate", "KuCoin", "OKX"):
        clicks.click("checkbox", name)
    clicks.click("button", "Add markets")

    expect(told(page)).to_contain_text("150 markets added.")
    assert clicks.number <= 10


def test_wrong_line_leaves_the_other_twenty_nine(page, client):
    pairs = [f"TOKEN{number}/USDT" for number in range(29)]
    page.goto(f"{client}/markets/add?exchange=okx")
    clicks = Clicks(page)

    clicks.type("Pairs", "\n".join([*pairs, "MISTAKE"]))
    clicks.click("button", "Preview")
    expect(page.get_by_text("Line 30: Put a slash between base and quote")).to_be_visible()
    clicks.click("button", "Add the other 29 markets")

    expect(told(page)).to_contain_text("29 markets added.")
    assert clicks.number == 3


def test_row_of_a_sheet_becomes_a_client_in_two_actions(page, clicks):
    page.goto("/admin/clients/new")
    wallet = make_wallet()

    clicks.paste("Name", f"Heron Capital\t{wallet}\tdesk@heron.example\tpremium\n")
    heading(page, "Create clients").wait_for()
    clicks.click("button", "Create 1 client")

    expect(told(page)).to_contain_text("1 client created.")
    expect(page.locator("#clients tbody tr").first).to_contain_text("Heron Capital")
    assert clicks.number == 2


def test_one_cell_is_pasted_into_its_field(page):
    page.goto("/admin/clients/new")

    is_taken = page.get_by_label("Name", exact=True).evaluate(
        """(field) => {
          const data = new DataTransfer();
          data.setData("text/plain", "Heron Capital\\n");
          return !field.dispatchEvent(new ClipboardEvent("paste", {
            clipboardData: data, bubbles: true, cancelable: true,
          }));
        }"""
    )

    assert not is_taken


@WITH_AND_WITHOUT_SCRIPTS
def test_rows_with_errors_are_corrected_in_the_grid(pages, scripts):
    page = pages.open(Role.OPERATOR, java_script_enabled=scripts)
    page.goto("/admin/clients/new")
    page.get_by_role("link", name="paste them").click()
    rows = [f"Egret {scripts},{make_wallet()},,Premium", f"Ibis {scripts},0x12,,Basic"]
    page.get_by_label("Rows").fill("\n".join(rows))
    page.get_by_role("button", name="Preview").click()

    wrong = page.get_by_label("Wallet address, row 2")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    wrong.fill(make_wallet())
    page.get_by_role("button", name="Check again").click()
    page.get_by_role("button", name="Create 2 clients").click()

    expect(told(page)).to_contain_text("2 clients created.")


def test_who_paused_a_market_is_told_on_its_page(page, clicks):
    clicks.find("btc okx")
    page.wait_for_url("**/markets/*")

    expect(page.get_by_role("region", name="Activity")).to_contain_text("OKX")
    assert clicks.number == 1


def test_market_is_halted_from_the_palette_in_two_actions(page, clicks):
    clicks.find("halt eth okx")
    heading(page, re.compile("Change status of ETH")).wait_for()
    clicks.click("button", "Halt market")

    expect(told(page)).to_contain_text("is now halted")
    assert clicks.number == 2
    clicks.click("button", "Undo")
    expect(page.get_by_role("main")).to_contain_text("trading")


def test_client_is_offboarded_and_its_keys_are_revoked_in_three_clicks(page, client):
    page.goto(f"/admin/api-keys/new?client_id={client.rpartition('/')[2]}&exchange=okx")
    for name, text in credentials("okx", Scenario.TRADE_ONLY).items():
        page.locator(f"#{name}").fill(text)
    page.get_by_role("button", name="Add key").click()
    expect(told(page)).to_contain_text("Key added")
    page.goto(client)
    clicks = Clicks(page)

    clicks.click("link", "Change status")
    clicks.click("checkbox", "I understand that Kingfisher Trading can't be reactivated")
    clicks.click("button", "Offboard client")

    expect(told(page)).to_contain_text("1 API key revoked.")
    assert clicks.number == 3


def test_exchange_is_stopped_in_four_actions(page, clicks):
    clicks.find("stop gemini")
    clicks.type("Reason", "Its prices stand still.")
    clicks.click("button", "Next")
    clicks.click("button", "Raise stop")

    expect(told(page)).to_contain_text("Stop raised.")
    assert clicks.number == 4


def test_read_only_token_is_made_in_four_actions(page):
    page.goto("/admin/account")
    clicks = Clicks(page)

    clicks.click("link", "New API token")
    clicks.click("link", "Read only")
    clicks.type("Name", "Warehouse")
    clicks.click("button", "Create token")

    expect(page.get_by_text("pl_").first).to_be_visible()
    assert clicks.number == 4


def test_gap_of_a_client_leads_to_its_key_form_in_two_clicks(page, clicks):
    clicks.click("link", re.compile("^Add keys"))
    page.locator("#coverage tbody td .cover-no_key").first.click()
    clicks.number += 1

    heading(page, re.compile("New .*key|Add .*key")).wait_for()
    assert clicks.number == 2
