"""What a keyboard, a screen reader, paper, forced colours and small windows need."""

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import NARROW, WITH_AND_WITHOUT_SCRIPTS

CLIENTS, NEW = "/admin/clients", "/admin/clients/new"
ANNOUNCED = "[data-announcement]"
TAB_STOPS = """(row) => [...row.querySelectorAll("a, button, input, [tabindex]")]
  .filter((item) => item.tabIndex >= 0 && item.checkVisibility()).length"""
BORDER_CONTRAST = """(item) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(item);
  const [dark, light] = [luminance(style.borderTopColor), luminance(style.backgroundColor)]
    .sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}"""
DOT = "(badge) => getComputedStyle(badge, '::before').backgroundColor"
STYLE = "(item, name) => getComputedStyle(item)[name]"


@pytest.fixture
def page(pages):
    return pages.open(Role.OPERATOR)


def test_failed_search_hides_the_old_rows_and_can_be_tried_again(pages, page):
    page.goto(CLIENTS)
    expect(page.locator("#clients tbody tr").first).to_be_visible()
    page.route("**/admin/clients?*", lambda route: route.fulfill(status=429, body="busy"))

    page.get_by_role("searchbox", name="Search").press_sequentially("ravenna")
    expect(page.get_by_role("alert")).to_contain_text("The search failed.")
    expect(page.locator("#clients")).to_be_hidden()
    page.unroute("**/admin/clients?*")
    page.get_by_role("button", name="Try again").click()

    expect(page.locator("#clients tbody tr")).to_have_count(1)
    expect(page.locator("#clients")).to_contain_text("Ravenna Liquidity")
    expect(page.locator("[data-failed]")).to_have_count(0)
    # htmx logs it too.
    pages.errors.clear()


def test_search_announces_the_number_of_results(page):
    page.goto(CLIENTS)

    page.get_by_role("searchbox", name="Search").press_sequentially("ravenna")
    expect(page.locator(ANNOUNCED)).to_have_text("1 of 1")
    page.get_by_role("searchbox", name="Search").press_sequentially(" nothing")

    expect(page.locator(ANNOUNCED)).to_have_text("No results")


def test_copying_is_announced(pages):
    page = pages.open(Role.OPERATOR, permissions=["clipboard-read", "clipboard-write"])
    page.goto(CLIENTS)

    page.get_by_role("button", name="Copy the wallet address of").first.click()

    expect(page.locator(ANNOUNCED)).to_have_text("Copied.")


def test_row_of_a_client_has_a_tab_stop_for_its_link_and_one_to_select_it(page):
    page.goto(CLIENTS)

    rows = page.locator("#clients tbody tr").all()

    assert {row.evaluate(TAB_STOPS) for row in rows} == {2}


@WITH_AND_WITHOUT_SCRIPTS
def test_denied_form_has_the_focus_on_the_first_wrong_field(pages, scripts):
    page = pages.open(Role.OPERATOR, java_script_enabled=scripts)
    page.goto(NEW)
    page.get_by_label("Name").fill("Wrong Wallet")
    page.get_by_label("Wallet address").fill("0xnothing")
    page.get_by_role("button", name="Create client").click()

    expect(page).to_have_title("Error: New client · Pipe Labs")
    expect(page.get_by_label("Wallet address")).to_be_focused()


def test_status_fits_a_phone_after_a_denial(pages):
    page = pages.open(Role.OWNER)
    page.goto(NEW)
    page.get_by_label("Name").fill("Denied")
    page.get_by_label("Wallet address").fill("0xnothing")
    page.get_by_role("button", name="Create client").click()
    expect(page.locator(".errors").first).to_be_visible()

    for width in (NARROW["width"], 320):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto("/admin/status")
        expect(page.get_by_role("link", name="All rejections")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_sign_out_can_be_reached_in_a_low_window(pages):
    page = pages.open(Role.OWNER, width={"width": 1280, "height": 320})
    page.goto(CLIENTS)
    page.get_by_role("main").hover()
    page.mouse.wheel(0, 10_000)
    button = page.get_by_role("button", name="Sign out")

    button.scroll_into_view_if_needed()

    expect(button).to_be_in_viewport()
    button.click(trial=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_borders_of_controls_have_enough_contrast(pages, theme):
    page = pages.open(Role.OPERATOR, theme=theme)
    page.goto(NEW)

    controls = page.locator("main :is(input:not([type=hidden]), select, textarea)").all()

    assert len(controls) >= 4
    assert min(control.evaluate(BORDER_CONTRAST) for control in controls) >= 3


def test_print_has_every_column_and_its_dots(page):
    page.goto(CLIENTS)
    columns = page.locator("#clients th").count()
    page.set_viewport_size({"width": 720, "height": 1000})

    page.emulate_media(media="print")

    # The column of check boxes is not printed.
    assert page.locator("#clients th:visible").count() == columns - 1
    for cell in page.locator("#clients tr").nth(1).locator("td:visible").all():
        box = cell.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= 720
    badge = page.locator("#clients .badge").first
    assert badge.evaluate("(b) => getComputedStyle(b, '::before').printColorAdjust") == "exact"
    expect(page.get_by_role("navigation", name="Sections")).to_be_hidden()


def test_forced_colours_keep_states_visible(pages):
    page = pages.open(Role.OPERATOR)
    page.goto("/admin/clients?q=alder")
    link = page.locator("tbody a[href^='/admin/clients/']").first.get_attribute("href")
    page.emulate_media(forced_colors="active")

    page.goto(link.replace("?", "/markets/grid?"))
    ground = page.locator("body").evaluate(STYLE, "backgroundColor")
    chosen, other = (
        page.locator(f".tabs a{state}").first.evaluate(STYLE, "borderBottomColor")
        for state in ("[aria-current]", ":not([aria-current])")
    )
    dot = page.locator(".grid .badge-good").last.evaluate(DOT)
    view, other_view = (
        page.locator(f".presets a{state}").evaluate(STYLE, "outlineStyle")
        for state in ("[aria-current]", ":not([aria-current])")
    )
    page.keyboard.press("Control+k")
    option = page.locator('.palette-option[aria-selected="true"]')
    expect(option).to_be_visible()

    assert chosen != other
    assert (view, other_view) == ("solid", "none")
    assert dot not in {ground, "rgba(0, 0, 0, 0)"}
    assert option.evaluate(STYLE, "outlineStyle") == "solid"
