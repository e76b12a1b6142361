from urllib.parse import urlencode

import pytest
from flask import Flask

from pipelabs.core.pagination import Page
from pipelabs.web.places import place_of


@pytest.fixture
def place():
    """Return a function that returns the place of a page with a query string."""

    def find(rows, query, *, has_previous=True, total=None, is_capped=None):
        page = Page(range(rows), "next", "previous" if has_previous else None, total, is_capped)
        with Flask(__name__).test_request_context(f"/?{urlencode(query)}"):
            return place_of(page)

    return find


def test_first_page_tells_its_place_and_its_neighbour(place):
    first = place(50, {}, has_previous=False, total=300, is_capped=False)

    assert first.text == "1\u201350 of 300"
    assert first.next == {"from": "51", "of": "300"}


def test_later_page_tells_its_place_from_the_link(place):
    later = place(25, {"cursor": "x", "from": "51", "of": "10000+", "size": "25"})

    assert later.text == "51\u201375 of more than 10,000"
    assert later.next == {"from": "76", "of": "10000+"}
    assert later.previous == {"from": "26", "of": "10000+"}


def test_last_row_and_the_page_before_the_first_row(place):
    last = place(1, {"cursor": "x", "from": "20", "of": "20", "size": "x"})

    assert last.text == "20 of 20"
    assert last.previous["from"] == "1"


def test_first_page_by_a_cursor_begins_at_one(place):
    first = place(2, {"cursor": "x", "from": "51", "of": "4"}, has_previous=False)

    assert first.text == "1\u20132 of 4"


def test_list_that_is_not_counted_has_no_length(place):
    first = place(50, {}, has_previous=False)

    assert (first.text, first.next) == ("1\u201350", {"from": "51"})


@pytest.mark.parametrize("number", ["", "0", "x", "-1", "9" * 10, "\u0663"])
def test_false_place_counts_the_rows_only(place, number):
    page = place(2, {"cursor": "x", "from": number, "of": number})
    single = place(1, {"cursor": "x", "from": number})

    assert (page.text, page.next, single.text) == ("2 rows", {}, "1 row")
