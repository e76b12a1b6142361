import re

import pytest

from pipelabs.core.db import finish
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import Role, TokenPair
from tests.factories import ACTOR, make_client, make_exchange, make_item

PAIRS = "/admin/token-pairs"


@pytest.fixture
def quoted(app):
    """Sixty clients quoted in BTC/USDT, and one in ETH/USDT too."""
    with app.app_context():
        make_exchange()
        for number in range(60):
            client = make_client(name=f"Client {number:02}")
            add_client_markets(client.id, [make_item()], ACTOR)
        add_client_markets(client.id, [make_item("ETH/USDT"), make_item(exchange="gate")], ACTOR)
        finish(commit=True)


def symbols(page):
    return re.findall(r'<td class="main-cell"><a href="[^"]+">([A-Z/:]+)</a>', page.text)


def test_no_pairs_say_what_makes_one(desk):
    assert "No token pairs yet" in desk.get(PAIRS).text


def test_a_pair_is_created_and_shown(desk, rows):
    answer = desk.send(f"{PAIRS}/new", symbol="btc-usdt:usdt")

    [pair] = rows(TokenPair)
    shown = desk.get(answer.location).text
    assert answer.location == f"{PAIRS}/{pair.id}"
    assert "BTC/USDT:USDT was created." in shown
    assert "swap, settled in USDT" in shown
    assert "No exchange has this pair here yet." in shown
    assert "Nobody." in shown


def test_what_is_no_pair_is_told_beside_the_field_and_what_is_there_linked(desk, rows):
    desk.send(f"{PAIRS}/new", symbol="BTC/USDT")

    wrong = desk.send(f"{PAIRS}/new", symbol="BTCUSDT")
    taken = desk.send(f"{PAIRS}/new", symbol="btc_usdt")

    assert (wrong.status_code, taken.status_code) == (400, 409)
    assert 'id="symbol-errors"><li>Put a slash' in wrong.text
    assert 'value="BTCUSDT"' in wrong.text
    assert f'href="{PAIRS}/{rows(TokenPair)[0].id}"' in taken.text
    assert desk.get(f"{PAIRS}/new").status_code == 200


def test_pairs_are_searched_in_any_spelling_and_sorted(desk, quoted):
    assert symbols(desk.get(PAIRS)) == ["BTC/USDT", "ETH/USDT"]
    assert symbols(desk.get(f"{PAIRS}?sort=-symbol")) == ["ETH/USDT", "BTC/USDT"]
    assert symbols(desk.get(f"{PAIRS}?q=eth-usdt&sort=symbol")) == ["ETH/USDT"]
    assert "No token pair is called that." in desk.get(f"{PAIRS}?q=XMR").text


def test_a_pair_shows_its_markets_and_who_is_quoted_page_by_page(desk, quoted, rows):
    pair = next(row for row in rows(TokenPair) if row.base_asset == "BTC")

    first = desk.get(f"{PAIRS}/{pair.id}")
    [link] = re.findall(r'href="([^"]*cursor=[^"]*)".*Next</a>', first.text)
    second = desk.get(link.replace("&amp;", "&"))

    assert "BTC_USDT" in first.text
    assert "50 of 61" in first.text
    assert 'title="Client 59"' in second.text
    assert "Previous</a>" in second.text


def test_a_viewer_is_offered_no_changes(console, quoted):
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    assert f'href="{PAIRS}/new"' not in viewer.get(PAIRS).text
