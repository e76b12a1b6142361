"""What is on a page."""

import re

CODE = re.compile(r"ple_[A-Za-z0-9_-]{32}")
"""An enrolment code."""


def words(page):
    """Return what a person reads: the text of a response without tags, in single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def find(pattern, page):
    """Return the first match in the HTML of a response, or its group."""
    return re.findall(pattern, page.text)[0]


def find_cursor(page):
    """Return the cursor of the next page of a list."""
    return find(r"cursor=([A-Za-z0-9_-]+)", page)
