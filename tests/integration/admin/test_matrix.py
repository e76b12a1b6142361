import re

import pytest

from pipelabs.core.db import finish
from pipelabs.markets.quoting import add_client_markets
from tests.each import each
from tests.factories import ACTOR, make_client, make_exchange, make_item

MATRIX = "/admin/matrix"


@pytest.fixture
def acme(app, rolled_back):
    """The id of a client in two markets of okx and one of gate."""
    with app.app_context():
        make_exchange()
        made = make_client(name="Acme").id
        items = [make_item(), make_item("ETH/USDT"), make_item(exchange="gate")]
        add_client_markets(made, items, ACTOR)
        finish(commit=True)
        return made


def test_matrix_page_without_markets_explains_what_to_do(desk):
    assert "No clients are quoted yet" in desk.get(MATRIX).text


def test_matrix_page_count_links_to_the_markets(desk, acme):
    text = desk.get(MATRIX).text

    cells = re.findall(r'heat-(\d)"><a href="([^"]+)" title="([^"]+)">(\d+)</a>', text)
    here = f"/admin/clients/{acme}/markets?exchange="
    assert cells == [
        ("3", f"{here}gate", "Acme on gate: 1 pair", "1"),
        ("5", f"{here}okx", "Acme on okx: 2 pairs", "2"),
    ]
    assert "<strong>3</strong>" in text
    assert "BTC-USDT" in desk.get(f"{here}okx").text


@each(
    ("query", "found"),
    [("q=acm", True), ("exchange=gate", True), ("status=active", True), ("status=paused", False)],
)
def test_matrix_page_keeps_filters_in_the_url(desk, acme, query, found):
    text = desk.get(f"{MATRIX}?{query}").text

    assert (f"/admin/clients/{acme}/markets" in text) is found
    assert ("No clients match these filters." in text) is not found


def test_matrix_page_count_keeps_the_status_filter(desk, acme):
    assert "?exchange=gate&amp;status=active" in desk.get(f"{MATRIX}?status=active").text


def test_menu_marks_the_matrix(desk, acme):
    text = desk.get(MATRIX).text

    assert re.search(r'href="/admin/markets" aria-current="page"><svg', text)
    assert 'aria-current="page">Matrix</a>' in text
