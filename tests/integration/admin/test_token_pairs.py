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
    return re.findall(
        r'<td class="main-cell"><a href="[^"]+" title="[^"]+">([A-Z/:]+)</a>', page.text
    )


def test_token_pairs_page_without_pairs_offers_to_create_one(desk):
    assert "No token pairs yet" in desk.get(PAIRS).text


def test_create_token_pair_form_creates_and_shows_a_pair(desk, rows):
    answer = desk.send(f"{PAIRS}/new", symbol="btc-usdt:usdt")

    [pair] = rows(TokenPair)
    shown = desk.get(answer.location).text
    assert answer.location == f"{PAIRS}/{pair.id}"
    assert "BTC/USDT:USDT created." in shown
    assert "swap, settled in USDT" in shown
    assert "This pair has no market on any exchange yet." in shown
    assert "No clients are quoted here." in shown


def test_create_token_pair_form_shows_errors_and_links_the_existing_pair(desk, rows):
    desk.send(f"{PAIRS}/new", symbol="BTC/USDT")

    wrong = desk.send(f"{PAIRS}/new", symbol="BTCUSDT")
    taken = desk.send(f"{PAIRS}/new", symbol="btc_usdt")

    assert (wrong.status_code, taken.status_code) == (400, 409)
    assert 'id="symbol-errors"><li>Put a slash' in wrong.text
    assert 'value="BTCUSDT"' in wrong.text
    assert f'href="{PAIRS}/{rows(TokenPair)[0].id}"' in taken.text
    assert desk.get(f"{PAIRS}/new").status_code == 200


def test_token_pairs_page_searches_and_sorts(desk, quoted):
    assert symbols(desk.get(PAIRS)) == ["BTC/USDT", "ETH/USDT"]
    assert symbols(desk.get(f"{PAIRS}?sort=-symbol")) == ["ETH/USDT", "BTC/USDT"]
    assert symbols(desk.get(f"{PAIRS}?q=eth-usdt&sort=symbol")) == ["ETH/USDT"]
    assert "No token pairs match this search." in desk.get(f"{PAIRS}?q=XMR").text


def test_show_token_pair_has_markets_and_quoted_clients(desk, quoted, rows):
    pair = next(row for row in rows(TokenPair) if row.base_asset == "BTC")

    first = desk.get(f"{PAIRS}/{pair.id}")
    [link] = re.findall(r'href="([^"]*cursor=[^"]*)".*Next</a>', first.text)
    second = desk.get(link.replace("&amp;", "&"))

    assert "BTC_USDT" in first.text
    assert "50 of 61" in first.text
    assert 'title="Client 59"' in second.text
    assert "Previous</a>" in second.text


def test_viewers_see_token_pairs_without_actions(console, quoted):
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    assert f'href="{PAIRS}/new"' not in viewer.get(PAIRS).text
