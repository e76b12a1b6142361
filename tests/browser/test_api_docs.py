import pytest

from tests.browser.pages import NARROW, WIDE


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_shows_the_document(pages, width, theme):
    page = pages.open(width=width, theme=theme)

    page.goto("/api/docs")

    page.get_by_text("/api/admin/quick-client", exact=True).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width["width"]


def test_what_the_browser_complains_of_is_noticed(every_page):
    page = every_page.open()
    page.goto("/api/openapi.json")

    page.evaluate("document.body.append(document.createElement('style'))")
    page.evaluate("setTimeout(() => { throw new Error('lost') })")
    page.evaluate("fetch('/static/nothing.js')")
    page.wait_for_timeout(100)

    found, every_page.complaints = " ".join(every_page.complaints), []
    assert "CSP: style-src-elem inline" in found
    assert "lost" in found
    assert "404" in found
