import re
from datetime import timedelta
from html import unescape

import pytest

from pipelabs.core.db import db
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import Client, Status, now
from pipelabs.vault.probe.report import Failure
from tests.each import each
from tests.factories import (
    ACTOR,
    make_client,
    make_exchange,
    make_item,
    make_key,
    make_probe_result,
)

COVERAGE = "/admin/coverage"
CELL = re.compile(
    r'<a class="cover cover-(\w+)" href="([^"]+)" title="([^"]+)" aria-label="\3"'
    r'(?: data-letter="(\w)")?>(.+?)</a>'
)


@pytest.fixture
def acme(app, ring):
    """A client with a cell of every kind, and the ids of its keys by exchange."""
    with app.app_context():
        make_exchange()
        client = make_client(name="Acme <3")
        places = ("okx", "mexc", "bybit", "kucoin", "gate")
        items = [make_item(), *(make_item("ETH/USDT", exchange=slug) for slug in places)]
        add_client_markets(client.id, items, ACTOR)
        keys = {
            "okx": {},
            "mexc": {"result": make_probe_result()},
            "bybit": {"result": make_probe_result(failure=Failure.TIMEOUT)},
            "kucoin": {"expires_at": now() - timedelta(days=1)},
            "htx": {},
        }
        ids = {slug: str(make_key(client, slug, **changes).id) for slug, changes in keys.items()}
        db.session.commit()
        return {"client": str(client.id), **ids}


def cells(page):
    """Return the exchange of each cell → kind, address, sentence, text."""
    found = {}
    for kind, href, title, letter, number in CELL.findall(page.text):
        sentence = unescape(title).removeprefix("Acme <3 on ")
        name, _, rest = sentence.partition(": ")
        found[name] = (kind, unescape(href), rest, number + letter)
    return found


def test_coverage_page_without_markets_explains_what_to_do(desk):
    assert "No clients are quoted yet" in desk.get(COVERAGE).text


def test_coverage_page_cells_link_to_what_can_be_done_there(desk, acme):
    markets = f"/admin/clients/{acme['client']}/markets?status=active&exchange=okx"
    add = f"/admin/api-keys/new?client_id={acme['client']}&exchange=gate"

    def key(slug):
        return f"/admin/api-keys/{acme[slug]}"

    assert cells(desk.get(COVERAGE)) == {
        "OKX": ("covered", markets, "2 markets, verified key. Open the markets.", "2V"),
        "MEXC": ("key_unusable", key("mexc"), "1 market, quarantined key. Open the key.", "1Q"),
        "Bybit": ("key_unusable", key("bybit"), "1 market, unverified key. Open the key.", "1U"),
        "KuCoin": ("key_unusable", key("kucoin"), "1 market, expired key. Open the key.", "1E"),
        "Gate": ("no_key", add, "1 market, no key. Add a key.", "1N"),
        "HTX": ("not_quoted", key("htx"), "not quoted, key. Open the key.", "key"),
    }
    for _, href, _, _ in cells(desk.get(COVERAGE)).values():
        assert desk.get(href).status_code == 200


def test_coverage_page_offers_viewers_no_new_key(watcher, acme):
    href = cells(watcher.get(COVERAGE))["Gate"][1]

    assert href == f"/admin/clients/{acme['client']}/markets?status=active&exchange=gate"
    assert watcher.get(href).status_code == 200


def test_coverage_page_has_totals_and_links_in_the_heads(desk, acme):
    text = desk.get(COVERAGE).text

    assert 'href="/admin/exchanges/okx" title="OKX">OKX</a>' in text
    assert f'href="/admin/clients/{acme["client"]}" title="Acme &lt;3"' in text
    assert 'data-label="Markets">6</td>' in text
    assert 'data-label="Gaps">4</td>' in text
    assert 'href="/admin/coverage?exchange=okx" title="OKX: 2 markets, 0 gaps"' in text
    assert 'title="Gate: 1 market, 1 gap"' in text
    assert re.search(r"5 combinations of .+<strong>4</strong></a>\s+of them", text, re.DOTALL)
    assert re.findall(r"<strong>(\d+)</strong>\s+</a>", text) == ["1", "3", "1", "1"]


def test_coverage_page_without_gaps_says_so(app, desk, ring):
    with app.app_context():
        make_exchange()
        client = make_client()
        add_client_markets(client.id, [make_item()], ACTOR)
        make_key(client)
        db.session.commit()

    assert "The desk may trade in all of them." in desk.get(COVERAGE).text


def test_coverage_page_says_that_totals_are_of_one_page(app, desk, acme):
    with app.app_context():
        make_key(make_client(name="Beech"), "htx")
        db.session.commit()

    assert "<span>Total</span>" in desk.get(COVERAGE).text
    assert "<span>This page</span>" in desk.get(f"{COVERAGE}?size=1").text


@each(
    ("query", "names"),
    [
        ("q=acm", {"OKX", "MEXC", "Bybit", "KuCoin", "Gate", "HTX"}),
        ("q=nobody", set()),
        ("exchange=gate", {"Gate"}),
        ("exchange=binance", set()),
        ("status=gap", {"MEXC", "Bybit", "KuCoin", "Gate"}),
        ("status=not_quoted", {"HTX"}),
        ("pair=btc-usdt", {"OKX"}),
    ],
)
def test_coverage_page_keeps_filters_in_the_url(desk, acme, query, names):
    page = desk.get(f"{COVERAGE}?{query}")

    assert set(cells(page)) == names
    assert ("No clients match these filters." in page.text) is not names


def test_coverage_page_says_when_there_are_more_than_it_counts(desk, acme, monkeypatch):
    for module in ("pipelabs.admin.coverage", "pipelabs.coverage.queries"):
        monkeypatch.setattr(f"{module}.MAX_COUNTED", 2)

    text = desk.get(COVERAGE).text

    assert "More than 2 combinations of client and exchange" in text
    assert re.findall(r"<strong>(.+?)</strong>\s+</a>", text) == ["1", "more than 2", "1", "1"]


def test_coverage_page_shows_a_status_that_is_not_active(app, desk, acme, change):
    assert "badge-bad" not in desk.get(COVERAGE).text
    change(Client, status=Status.SUSPENDED)

    assert '<span class="badge badge-bad">suspended</span>' in desk.get(COVERAGE).text


def test_coverage_page_offers_no_key_to_an_offboarded_client(desk, acme, change):
    change(Client, status=Status.OFFBOARDED)

    assert cells(desk.get(COVERAGE))["Gate"][1].startswith(f"/admin/clients/{acme['client']}/")


def test_coverage_page_has_room_for_thousands_of_markets(desk, acme, monkeypatch):
    assert "coverage-1" in desk.get(COVERAGE).text
    monkeypatch.setattr("pipelabs.coverage.queries._count_markets", _count_thousands)

    assert "coverage-4" in desk.get(COVERAGE).text


def _count_thousands(client_ids, filters):
    return {(client_id, "okx"): 1_512 for client_id in client_ids}


def test_matrix_address_leads_to_coverage(desk, acme):
    response = desk.get("/admin/matrix?q=acme&exchange=okx&status=paused")

    assert response.status_code == 301
    assert response.headers["Location"] == "/admin/coverage?q=acme&exchange=okx"


def test_menu_marks_coverage(desk, acme):
    assert re.search(r'href="/admin/coverage" aria-current="page"><svg', desk.get(COVERAGE).text)
