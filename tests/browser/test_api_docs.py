from itertools import product

from tests.browser.pages import NARROW, WIDE
from tests.waiting import PATIENCE_S


def test_the_page_shows_the_document(pages):
    page = pages.open()

    page.goto("/api/docs")

    page.get_by_text("/api/admin/quick-client", exact=True).first.wait_for()
    for width, theme in product([WIDE, NARROW], ["light", "dark"]):
        page.set_viewport_size(width)
        page.emulate_media(color_scheme=theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width["width"], theme


def test_what_the_browser_complains_of_is_noticed(every_page):
    page = every_page.open()
    page.goto("/api/openapi.json")

    page.evaluate("document.body.append(document.createElement('style'))")
    page.evaluate("setTimeout(() => { throw new Error('lost') })")
    page.evaluate("fetch('/static/nothing.js')")
    complaints = every_page.complaints
    for _ in range(PATIENCE_S * 10):
        if len(complaints) >= 3:
            break
        # Only while Playwright waits does it hear what the page says.
        page.wait_for_timeout(100)

    found, every_page.complaints = " ".join(complaints), []
    assert "CSP: style-src-elem inline" in found
    assert "lost" in found
    assert "404" in found
