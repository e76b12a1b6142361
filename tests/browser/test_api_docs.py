from itertools import product

from tests.browser.pages import NARROW, WIDE
from tests.waiting import TIMEOUT_S


def test_api_docs_page_shows_the_document(pages):
    page = pages.open()

    page.goto("/api/docs")

    page.get_by_text("/api/admin/quick-client", exact=True).first.wait_for()
    for width, theme in product([WIDE, NARROW], ["light", "dark"]):
        page.set_viewport_size(width)
        page.emulate_media(color_scheme=theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width["width"], theme


def test_browser_errors_are_recorded(module_pages):
    page = module_pages.open()
    page.goto("/api/openapi.json")

    page.evaluate("document.body.append(document.createElement('style'))")
    page.evaluate("setTimeout(() => { throw new Error('lost') })")
    page.evaluate("fetch('/static/nothing.js')")
    errors = module_pages.errors
    for _ in range(TIMEOUT_S * 10):
        if len(errors) >= 3:
            break
        # Playwright receives events of the page only while it waits.
        page.wait_for_timeout(100)

    recorded, module_pages.errors = " ".join(errors), []
    assert "CSP: style-src-elem inline" in recorded
    assert "lost" in recorded
    assert "404" in recorded
