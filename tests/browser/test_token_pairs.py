import pytest

from pipelabs.models import Role
from tests.browser.pages import NARROW, axe_violations
from tests.browser.test_clients import create
from tests.factories import make_wallet

BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])


@pytest.fixture
def desk(pages):
    """Return an opener of pages of an operator, with or without scripts."""
    return lambda **options: pages.open(Role.OPERATOR, **options)


def said(page, text):
    page.get_by_text(text).first.wait_for()


@BOTH
def test_a_client_is_quoted_in_many_markets_and_one_is_paused(desk, scripts):
    page = desk(java_script_enabled=scripts)
    name = f"Quoted {scripts}"
    create(page, name, make_wallet())
    said(page, f"{name} created.")
    page.get_by_role("link", name="Not quoted yet").click()
    page.get_by_role("link", name="Add markets").first.click()

    page.get_by_label("Symbols").fill("BTC/USDT\nWHAT\neth-usdt")
    page.get_by_label("Exchange").select_option("okx")
    page.get_by_label("Spread target").fill("12.5")
    page.get_by_role("button", name="Add markets").click()
    said(page, "Line 2: Put a slash between base and quote")
    if scripts:
        assert axe_violations(page) == []
    page.get_by_label("Symbols").fill("BTC/USDT\neth-usdt")
    page.get_by_role("button", name="Add markets").click()

    said(page, "2 markets added.")
    page.get_by_role("link", name="Edit BTC/USDT on okx").click()
    page.get_by_label("Status").select_option("paused")
    page.get_by_role("button", name="Save").click()
    said(page, "BTC/USDT on okx saved.")
    assert page.get_by_role("row", name="BTC/USDT").locator(".badge-warn").count() == 1
    page.get_by_role("link", name="Client", exact=True).click()
    said(page, "2 pairs on 1 exchange")
    assert "Client market updated" in page.locator(".timeline li").first.inner_text()


@BOTH
def test_a_market_is_delisted_after_its_clients_were_shown_and_listed_again(desk, scripts):
    page = desk(java_script_enabled=scripts)
    page.goto("/admin/markets")
    page.get_by_label("Search").fill("xrp-usdt")
    page.get_by_label("Exchange").select_option("gate" if scripts else "okx")
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**q=xrp-usdt**")
    rows = page.locator("#markets tbody tr")
    rows.nth(1).wait_for(state="detached")
    rows.get_by_role("link").first.click()
    page.get_by_role("link", name="Change status").click()

    said(page, "Alder Peak Trading")
    page.get_by_role("button", name="Delist market").click()
    said(page, "is now delisted.")
    page.get_by_role("link", name="Change status").click()
    page.get_by_role("button", name="List market again").click()

    said(page, "is now trading.")
    assert page.locator("tbody .badge").first.inner_text() == "delisted"


def test_the_matrix_keeps_its_head_and_first_column_in_sight(desk):
    page = desk(width=NARROW)
    page.goto("/admin/matrix")
    box = page.locator(".matrix")
    first = box.locator("tbody th").first

    box.evaluate("(one) => one.scrollTo(600, 400)")

    edge = box.bounding_box()
    assert box.evaluate("(one) => one.scrollLeft") == 600
    assert abs(first.bounding_box()["x"] - edge["x"]) <= 1
    assert abs(box.locator("thead th").first.bounding_box()["y"] - edge["y"]) <= 1
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_a_count_of_the_matrix_leads_to_the_markets_behind_it(desk):
    page = desk()
    page.goto("/admin/matrix")
    page.get_by_label("Search").fill("alder peak")
    page.locator("#matrix tbody tr").nth(1).wait_for(state="detached")

    page.get_by_title("Alder Peak Trading on binance: 12 pairs").click()

    page.wait_for_url("**/markets?exchange=binance")
    assert page.locator("#quoted tbody tr").count() == 13
