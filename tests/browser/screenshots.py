"""Take screenshots of the console as each role, wide and narrow, in both themes.

Run `python -m dev.servers -- python -m tests.browser.screenshots FOLDER [NAME …]`. Each role has a
folder of its own. `--role viewer` takes those of one role, and can be repeated.
"""

import re
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from pipelabs.models import Role
from tests.browser import chromium
from tests.browser.demo import serve_demo
from tests.browser.machines import add_machines, add_requests
from tests.stub_exchange import Scenario, credentials

SIZES = {1440: 900, 390: 844}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
MAX_HEIGHT = 1_600
PAGES = {
    "desk": "/admin/",
    "desk-snooze": "/admin/#snooze",
    "palette": "/admin/#palette:alder",
    "palette-recent": "/admin/#palette:",
    "palette-market": "/admin/clients#palette:halt pepe okx",
    "palette-none": "/admin/clients#palette:nothing",
    "shortcuts": "/admin/clients#shortcuts",
    "status": "/admin/status",
    "clients": "/admin/clients",
    "client-new": "/admin/clients/new",
    "client": "/admin/clients?q=alder+peak*",
    "client-filtered": "/admin/clients?tier=Premium&status=active*",
    "client-offboarded": "/admin/clients?status=offboarded*",
    "client-keys": "/admin/clients?q=alder+peak*/keys",
    "client-activity": "/admin/clients?q=alder+peak*/activity",
    "client-api": "/admin/clients?q=alder+peak*/api",
    "client-edit": "/admin/clients*/edit",
    "onboard": "/admin/onboard",
    "client-markets": "/admin/coverage*/markets",
    "client-markets-grid": "/admin/coverage*/markets/grid",
    "client-markets-add": "/admin/coverage*/markets/add",
    "coverage": "/admin/coverage",
    "markets": "/admin/markets",
    "market": "/admin/markets?q=btc-usdt*",
    "market-edit": "/admin/markets?q=btc-usdt*/edit",
    "market-status": "/admin/markets?q=btc-usdt*/status",
    "token-pairs": "/admin/token-pairs",
    "token-pair": "/admin/token-pairs?q=btc-usdt*",
    "exchanges": "/admin/exchanges",
    "exchange": "/admin/exchanges/okx",
    "exchange-edit": "/admin/exchanges/okx/edit",
    "exchange-disable": "/admin/exchanges/okx/disable",
    "api-keys": "/admin/api-keys",
    "api-key": "/admin/api-keys?exchange=okx*",
    "api-key-quarantined": "/admin/api-keys?exchange=kraken*",
    "api-key-accept": "/admin/api-keys?exchange=kraken*/accept",
    "api-key-replace": "/admin/api-keys?exchange=okx*/replace",
    "api-key-cut-over": "/admin/api-keys?stage=candidate*/cut-over",
    "api-key-candidate": "/admin/api-keys?stage=candidate*",
    "api-keys-expiring": "/admin/api-keys/expiring?days=365",
    "api-key-choose": "/admin/api-keys/new",
    "machines": "/admin/machines",
    "machine-new": "/admin/machines/new",
    "machine": "/admin/machines?status=active*",
    "machine-enrolled": "/admin/machines?status=enrolled*",
    "machine-suspend": "/admin/machines?status=active*/suspend",
    "grant-new": "/admin/machines?status=active*/grants/new",
    "approvals": "/admin/approvals",
    "approval": "/admin/approvals*",
    "stops": "/admin/stops",
    "stop": "/admin/stops*",
    "stop-scope": "/admin/stops/new",
    "stop-new": "/admin/stops/new?scope=exchange",
    "activity": "/admin/audit",
    "activity-filtered": "/admin/audit?period=last_7_days&exchange=okx&event=market.created",
    "event": "/admin/audit/1000",
    "admin": "/admin/admins*",
    "account": "/admin/account",
    "token-new": "/admin/account/tokens/new?preset=crm",
    "admins": "/admin/admins",
    "missing": "/admin/nothing",
}
"""Name of a screenshot → its page; `*` opens the first row of the list before it."""
REQUESTED = {
    "approvals-of-another-owner": "/admin/approvals",
    "approval-key": "/admin/approvals*",
    "approval-key-approve": "/admin/approvals*/approve",
    "api-key-acceptance-requested": "/admin/api-keys?exchange=kraken*",
    "admin-owner-requested": "/admin/admins*",
    "admin-role": "/admin/admins*/role",
    "admin-new": "/admin/admins/new",
}
"""The same with what another owner has requested."""
FIRST_ROW = "main tbody a[href^='/admin/']"


def main(folder: Path, names: Sequence[str] = (), roles: Sequence[Role] = tuple(Role)) -> None:
    """Write a PNG of each page, or of those with these names, for each role, width and theme."""
    program = chromium.find()
    with serve_demo("screenshots") as (served, passwords), sync_playwright() as playwright:
        browser = playwright.chromium.launch(**program.options())
        base_url = f"http://127.0.0.1:{served.ports[0]}"
        owner = _open_window(browser, base_url, max(SIZES))
        _sign_in(owner, Role.OWNER, passwords)
        _add_keys(owner)
        add_machines(served, passwords[Role.OWNER])
        windows = {}
        for role in roles:
            (folder / role).mkdir(parents=True, exist_ok=True)
            for width in SIZES:
                page = windows[role, width] = _open_window(browser, base_url, width)
                page.goto("/admin/login")
                _take_screenshots(page, folder / role / f"login-{width}")
                _sign_in(page, role, passwords)
                if role is not Role.VIEWER:
                    _reject_key(page)
                    _take_screenshots(page, folder / role / f"api-key-rejected-{width}")
                _take_pages(page, PAGES, names, folder / role, width)
        add_requests(served, passwords[Role.OWNER])
        for (role, width), page in windows.items():
            _take_pages(page, REQUESTED, names, folder / role, width)
        browser.close()


def _open_window(browser: Browser, base_url: str, width: int) -> Page:
    return browser.new_page(
        base_url=base_url,
        viewport={"width": width, "height": SIZES[width]},
        locale="en-US",
        reduced_motion="reduce",
    )


def _sign_in(page: Page, role: Role, passwords: dict[Role, str]) -> None:
    page.goto("/admin/login")
    page.get_by_label("Email").fill(f"{role}@desk.local")
    page.get_by_label("Password").fill(passwords[role])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/")


def _take_pages(
    page: Page, pages: dict[str, str], names: Sequence[str], folder: Path, width: int
) -> None:
    for name, path in pages.items():
        if not names or name in names:
            _open(page, path)
            _take_screenshots(page, folder / f"{name}-{width}")


def _add_keys(page: Page) -> None:
    """Add a key in every state that the list can show, and a replacement."""
    _fill_key(page, "okx", Scenario.TRADE_ONLY)
    page.locator("#expires_at").fill(f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}")
    page.get_by_role("button", name="Add key").click()
    page.get_by_role("link", name="Replace").click()
    _fill_credentials(page, "okx", Scenario.IP_BOUND)
    page.get_by_role("button", name="Add replacement").click()
    for slug, scenario in (
        ("bybit", Scenario.EXPIRING),
        ("kraken", Scenario.READ_ONLY),
        ("kucoin", Scenario.HTML),
    ):
        _fill_key(page, slug, scenario)
        page.get_by_role("button", name="Add key").click()


def _reject_key(page: Page) -> None:
    _fill_key(page, "binance", Scenario.WITHDRAW)
    page.get_by_role("button", name="Add key").click()
    page.get_by_text("this key can withdraw").first.wait_for()


def _fill_key(page: Page, slug: str, scenario: Scenario) -> None:
    page.goto(f"/admin/api-keys/new?q=alder&exchange={slug}")
    page.goto(page.locator(".choices a").first.get_attribute("href") or "")
    _fill_credentials(page, slug, scenario)


def _fill_credentials(page: Page, slug: str, scenario: Scenario) -> None:
    for name, text in credentials(slug, scenario).items():
        page.locator(f"#{name}").fill(text)


def _open(page: Page, path: str) -> None:
    """Open a page as far as the role can: a list may have no row, and an act no link."""
    path, _, act = path.partition("#")
    list_path, _, suffix = path.partition("*")
    page.goto(list_path)
    if act == "snooze" and page.get_by_role("link", name="Snooze").count():
        page.get_by_role("link", name="Snooze").first.click()
    elif act == "shortcuts":
        page.keyboard.press("?")
    elif act.startswith("palette"):
        page.keyboard.press("Control+k")
        page.keyboard.type(act.partition(":")[2])
        page.get_by_role("status").filter(has_text=re.compile("result|No match")).wait_for()
        page.wait_for_load_state("networkidle")
    if list_path != path and page.locator(FIRST_ROW).count():
        href = urlsplit(page.locator(FIRST_ROW).first.get_attribute("href") or "")
        page.goto(href._replace(path=href.path + suffix).geturl())


def _take_screenshots(page: Page, file: Path) -> None:
    """Save the page in both themes, cut at the maximum height."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        width = page.viewport_size["width"] if page.viewport_size else 0
        height = min(page.evaluate("document.documentElement.scrollHeight"), MAX_HEIGHT)
        page.screenshot(
            path=f"{file}-{theme}.png",
            full_page=True,
            clip={"x": 0, "y": 0, "width": width, "height": height},
        )


if __name__ == "__main__":
    parser = ArgumentParser(prog="screenshots", description="Take screenshots of the console.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(PAGES | REQUESTED))
    parser.add_argument("--role", type=Role, choices=list(Role), action="append")
    options = parser.parse_args()
    if unknown := set(options.names) - set(PAGES | REQUESTED):
        parser.error(f"no page is called {', '.join(sorted(unknown))}")
    main(options.folder, options.names, options.role or tuple(Role))
