"""The activity page: finding out who did what, and exporting it."""

import hashlib
import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from pipelabs.models import Role
from tests.browser.pages import NARROW, WIDE, WITH_AND_WITHOUT_SCRIPTS, axe_violations

WIDTHS_AND_THEMES = [
    pytest.param(WIDE, "light", id="wide-light"),
    pytest.param(NARROW, "dark", id="narrow-dark"),
]
VIEWS = {
    "list": "/admin/audit",
    "filtered": "/admin/audit?period=last_7_days&event=client.created&status=SUCCESS",
    "more filters": "/admin/audit?subject=exchange:okx&request_id=nothing-1",
    "wrong": "/admin/audit?since=nonsense&address=nonsense",
}


@WITH_AND_WITHOUT_SCRIPTS
def test_auditor_exports_the_last_week_in_three_clicks(pages, scripts):
    page = pages.open(Role.VIEWER, java_script_enabled=scripts)
    page.goto("/admin/clients")

    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Activity").click()
    page.get_by_role("link", name="Last 7 days").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()

    content = download.value.path().read_bytes()
    above, manifest = content[: content.rindex(b"manifest")], content.splitlines()[-1].decode()
    assert hashlib.sha256(above).hexdigest() in manifest
    page.goto("/admin/audit")
    [count] = re.findall(r"(\d+) events", manifest)
    exported = page.locator(".entry-text").first
    expect(exported).to_contain_text(f"viewer exported {count} events of the audit trail as csv")


def test_print_view_shows_the_count_and_the_hash(pages):
    page = pages.open(Role.VIEWER)
    page.goto("/admin/audit?event=client.created")

    page.get_by_role("button", name="Print view").click()

    expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    expect(page.get_by_text(re.compile("^[0-9a-f]{64}$"))).to_be_visible()
    assert axe_violations(page) == []


def test_times_are_in_the_time_zone_of_the_browser(pages):
    page = pages.open(Role.VIEWER, timezone_id="Asia/Tokyo")
    # The first page tells the server the zone.
    page.goto("/admin/audit")

    page.goto("/admin/audit")

    expect(page.get_by_text("Times are in Asia/Tokyo.")).to_be_visible()
    page.get_by_role("link", name="Today").click()
    assert "zone=Asia" in urlsplit(page.url).query


def test_times_are_in_utc_without_javascript(pages):
    page = pages.open(Role.VIEWER, timezone_id="Asia/Tokyo", java_script_enabled=False)
    page.context.clear_cookies(name="pl_zone")

    page.goto("/admin/audit")

    expect(page.get_by_text("Times are in UTC.")).to_be_visible()
    expect(page.get_by_text("the time zone of your browser is not known")).to_be_visible()


def test_filters_are_removed_one_by_one_with_the_keyboard(pages):
    page = pages.open(Role.VIEWER)
    page.goto("/admin/audit?event=client.created&status=SUCCESS")
    active = page.get_by_role("list", name="Active filters")

    active.get_by_role("link", name="Remove the filter Event: Client created").focus()
    page.keyboard.press("Enter")
    expect(active.get_by_role("link", name=re.compile("^Remove"))).to_have_count(1)
    page.get_by_role("link", name="Clear all").press("Enter")

    expect(active).to_be_hidden()
    page.get_by_label("From", exact=True).fill("2026-01-01T00:00")
    page.get_by_label("Event", exact=True).select_option(label="Client created")
    page.get_by_role("button", name="Apply").press("Enter")
    expect(active.get_by_role("listitem").first).to_contain_text("From 2026-01-01 00:00")
    expect(page.get_by_label("From", exact=True)).to_have_value("2026-01-01T00:00")


@pytest.mark.parametrize(("width", "theme"), WIDTHS_AND_THEMES)
def test_activity_is_accessible_and_fits(pages, width, theme):
    page = pages.open(Role.VIEWER, width=width, theme=theme)
    for name, path in VIEWS.items():
        page.goto(path)

        assert axe_violations(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width["width"], name


def test_pages_of_things_show_their_activity(pages):
    page = pages.open(Role.VIEWER)
    page.goto("/admin/markets")
    page.get_by_role("main").locator("tbody a").first.click()

    activity = page.get_by_role("region", name="Activity")
    expect(activity).to_be_visible()
    band = page.get_by_role("img", name=re.compile("^Status since"))
    expect(band).to_be_visible()
    activity.get_by_role("link", name="All activity").click()

    assert "subject=market" in page.url
    expect(page.get_by_role("list", name="Active filters")).to_contain_text("Subject")
